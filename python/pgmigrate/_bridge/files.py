"""Text files of a migration: read whole, replaced whole, and checked before a run begins."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from pgmigrate.errors import StateError


def read_text(path: str | os.PathLike[str], what: str, remedy: str) -> str:
    """Returns the text of a file; line ends are not converted.

    Args:
        path: the file.
        what: what it is, for errors: ``plan file``.
        remedy: what to do if it cannot be read.

    Raises:
        StateError: it cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return file.read()
    except OSError as error:
        raise StateError(
            f"{what} {os.fspath(path)} cannot be read: {error.strerror}",
            name="file_unreadable",
            remedy=remedy,
        ) from error
    except UnicodeDecodeError as error:
        raise StateError(
            f"{what} {os.fspath(path)}: it is not valid UTF-8", name="file_not_utf8"
        ) from error


def is_file(path: Path, what: str) -> bool:
    """Whether a path is a file with contents, or a link to one: not a folder, device or pipe.

    Args:
        path: the path.
        what: what it is, for errors: ``plan file``.

    Raises:
        StateError: the file's status cannot be read. Without the error, an existing file would be
            taken for a missing one.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StateError(
            f"{what} {path} cannot be reached: {error.strerror}",
            name="file_unreachable",
            remedy="name a file in a folder that may be entered",
        ) from error


def write_atomically(path: Path, parts: Iterable[bytes], mode: int = 0o666) -> None:
    """Replaces the contents of a file atomically: neither a reader nor a crash sees half of it.

    Args:
        path: the file. A device or a pipe is written into directly.
        parts: the new contents.
        mode: the permission bits, before the process's umask is applied.

    Raises:
        OSError: the file cannot be written.
    """
    if _is_special(path):
        with path.open("wb") as file:
            file.writelines(parts)
        return
    path, temporary = _places(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        # Checked first, because `unlink` raises if the parent is not a folder.
        if temporary.exists():
            temporary.unlink()


def why_unwritable(path: Path) -> str | None:
    """The reason why `write_atomically` could not write a file; None if it can.

    Args:
        path: the file; neither it nor anything else is changed.
    """
    try:
        if path.is_dir():
            return os.strerror(errno.EISDIR)
        if _is_special(path):
            return None if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
        _, temporary = _places(path)
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None


def why_no_folder(path: Path) -> str | None:
    """The reason why no file can be created in a folder, or the folder itself; None if one can.

    Args:
        path: the folder; neither it nor anything else is changed.
    """
    path = Path(os.path.realpath(path))
    # The permission to create a file in a folder includes the one to create a folder in it.
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return why_unwritable(there / "probe")


def _is_special(path: Path) -> bool:
    """Whether a path is a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _places(path: Path) -> tuple[Path, Path]:
    """The file that the path resolves to, and an unused path next to it for a temporary file."""
    path = Path(os.path.realpath(path))
    return path, path.with_name(f".{path.name}.{secrets.token_hex(4)}")
