"""What the user wrote, from a file or from keywords, as the mapping that the core checks.

This module has no defaults and checks no values: the core does both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pgmigrate import _native
from pgmigrate.errors import ConfigError

_FORMATS: Final[Mapping[str, Literal["yaml", "json"]]] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
}


def read_documents(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The options of every migration that a file describes, as written.

    Args:
        path: a file whose name ends in ``.yaml``, ``.yml`` or ``.json``.

    Raises:
        ConfigError: it cannot be read, or has another format than its name says.
    """
    file = Path(path)
    if file.suffix.lower() not in _FORMATS:
        raise ConfigError(
            f"{file}: its name does not end in .yaml, .yml or .json",
            name="config_format_unknown",
            remedy="rename it by its format",
        )
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        # The codec's own message quotes bytes of the file, which may be part of a password.
        reason = error.strerror if isinstance(error, OSError) else "it is not valid UTF-8"
        raise ConfigError(f"{file}: {reason}", name="config_unreadable") from None
    return _native.documents(text, _FORMATS[file.suffix.lower()])


def from_keywords(sections: Mapping[str, object], flat: Mapping[str, object]) -> dict[str, Any]:
    """Options in the shape of a config file.

    Args:
        sections: top-level keys; those that are None were not given.
        flat: keys of the section ``options`` by themselves.

    Raises:
        ConfigError: a key is given both in ``options`` and by itself.
    """
    written = {key: _plain(value) for key, value in sections.items() if value is not None}
    if not flat:
        return written
    options = written.setdefault("options", {})
    if not isinstance(options, dict):
        # The core reports this mistake together with all others.
        return written
    problems = [f"options.{key}: given twice" for key in flat if key in options]
    if problems:
        raise ConfigError(
            f"invalid configuration: {'; '.join(problems)}",
            name="invalid_configuration",
            problems=problems,
        )
    options.update({key: _plain(value) for key, value in flat.items()})
    return written


def _plain(value: object) -> object:
    """A deep copy made of dict, list and scalars, independent of later changes by the caller."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value
