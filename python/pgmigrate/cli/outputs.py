"""The files that a command writes: checked before it begins; an error never ends its work."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pgmigrate._bridge.files import why_unwritable, write_atomically
from pgmigrate._bridge.job import logger
from pgmigrate.errors import ConfigError


def check_writable(option: str, paths: Iterable[Path | None]) -> None:
    """Checks before any work begins that the files can be written at its end.

    Args:
        option: the option that names the files.
        paths: the files; None means no file.

    Raises:
        ConfigError: one of them cannot be written.
    """
    for path in paths:
        reason = None if path is None else why_unwritable(path)
        if reason is not None:
            raise ConfigError(
                f"{option} {path} cannot be written: {reason}",
                name="output_not_writable",
                remedy=f"give {option} a file in a folder that exists and can be written",
            )


def written(path: Path, what: str, text: str) -> bool:
    """Writes a result into its file; one that cannot be written is reported as an error.

    Args:
        path: the file.
        what: what it is: ``checklist``.
        text: its contents.

    Returns:
        Whether it was written.
    """
    try:
        write_atomically(path, [text.encode(errors="backslashreplace")])
    except OSError as error:
        logger.error("the %s %s could not be written: %s", what, path, error.strerror)
        return False
    return True
