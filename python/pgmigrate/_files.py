"""Text files of a migration: read whole, replaced whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from pgmigrate.errors import StateError


def read_text(path: str | os.PathLike[str], what: str, remedy: str) -> str:
    """The text of a file, its line ends as they are.

    Args:
        path: the file.
        what: what it is, for errors: ``plan file``.
        remedy: what to do where it cannot be read.

    Raises:
        StateError: it cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return file.read()
    except OSError as error:
        raise StateError(f"{what} {os.fspath(path)}: {error.strerror}", remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise StateError(f"{what} {os.fspath(path)}: it is not valid UTF-8") from error


def write_atomically(path: Path, parts: Iterable[bytes]) -> None:
    """Replaces a file by one with other bytes; no reader and no crash ever meets half of it.

    Raises:
        OSError: the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
