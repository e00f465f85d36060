"""The module of typed options, `python/pgmigrate/_values/options.py`, from the core's keys.

Each mapping of a configuration is a `TypedDict`, each closed set of words a `Literal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Final

from pgmigrate import _native
from reference.public import PACKAGE

MODULE: Final = PACKAGE / "_values" / "options.py"

# Path of a mapping -> its class, the class it extends, and what it is; in the module's order.
CLASSES: Final[Mapping[str, tuple[str, str, str]]] = {
    "source": ("Connection", "", "A database as a mapping: the keywords of a libpq conninfo."),
    "schemas": ("Schemas", "", "The section ``schemas``: which schemas are in scope."),
    "roles": ("Roles", "", "The section ``roles``: which roles are in scope."),
    "tables.default": ("TableOptions", "", "How the rows of a table are copied."),
    "tables.include[]": ("TableRule", "TableOptions", "A table in scope, and how it is copied."),
    "tables.exclude[]": ("TableName", "", "A table that is left out."),
    "tables": ("Tables", "", "The section ``tables``: which tables are in scope, and how."),
    "parallel": ("Parallel", "", "The section ``parallel``: how much is done at once."),
    "options.require_revision": ("RevisionRule", "", "The revisions of alembic that are needed."),
    "options": ("Options", "", "The section ``options``, whose keys are keywords of `Migration`."),
    "procedure.stop[]": ("Command", "", "A command of the safe procedure."),
    "procedure.check_stopped[]": (
        "StopCheck",
        "Command",
        "A command that shows whether the application is stopped.",
    ),
    "procedure": (
        "Procedure",
        "",
        "The section ``procedure``: what is done around a safe run.",
    ),
    "": ("Configuration", "", "A configuration: what a file describes one migration by."),
}

# Type of a key -> its annotation.
ANNOTATIONS: Final[Mapping[str, str]] = {
    "string": "str",
    "boolean": "bool",
    "integer": "int",
    "positive integer": "int",
    "seconds": "int",
    "list of strings": "Sequence[str]",
    "mapping of strings": "Mapping[str, str]",
    "string or integer": "str | int",
    "string or list": "str | Sequence[str]",
    "string or list of words": "str | Sequence[str]",
    "auto, bytes or size": "int | str",
    "auto or integer": 'Literal["auto"] | int',
    "auto, true, false": 'Literal["auto"] | bool',
    "conninfo or mapping": "str | Connection",
    "same or mapping": 'Literal["same"] | RevisionRule',
    "command or list of commands": "OneCommand | Sequence[OneCommand]",
    "boolean, command or list of commands": "bool | OneCommand | Sequence[OneCommand]",
    "mapping or list of mappings": "StopCheck | Sequence[StopCheck]",
}

# Keys whose type leaves open what is in their mapping or list.
BY_KEY: Final[Mapping[str, str]] = {
    "schemas": "Schemas | Sequence[str]",
    "roles": "Roles | RolesMode",
    "roles.mode": "RolesMode",
    "tables": "Tables | Sequence[str | TableRule]",
    "tables.default": "TableOptions",
    "tables.include": "Sequence[str | TableRule]",
    "tables.exclude": "Sequence[str | TableName]",
    "parallel": "Parallel",
    "options": "Options",
    "procedure": "Procedure",
    # `${NAME}` makes a string of it.
    "source.port": "int | str",
    "options.backup_dir": "str | os.PathLike[str]",
    "options.pg_dump": "str | os.PathLike[str]",
    "procedure.cwd": "str | os.PathLike[str]",
}

# Closed sets with a name of their own: it stands for the words of this key.
_SETS: Final = {"RolesMode": ("roles.mode", "What the section ``roles`` may be by itself.")}
# They belong to a file of several migrations; what these keys take is a mapping listed by itself.
_LEFT_OUT: Final = ("migrations",)
_SAME: Final = {"database": "dbname", "username": "user"}

_ONE_COMMAND: Final = '''\
OneCommand: TypeAlias = str | Sequence[str] | Command
"""A command: a text that is cut into words, a list of words, or a mapping."""
'''

_HEAD: Final = '''\
"""What a configuration may hold, as types. Written by `python tests/reference` from the core.

No default and no check of a value stands here: the core has them. Annotations are evaluated at
once, which is faster than to keep them as text: `TypedDict` compiles each text.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict'''


def module() -> str:
    """The text of the module.

    Raises:
        ValueError: a key of the core has no place in it.
    """
    for key in _kinds():
        parent, _, name = key.rpartition(".")
        if parent not in CLASSES and name != "<option>":
            raise ValueError(f"{key}: name a class for {parent} in CLASSES of {__file__}")
    parts = []
    for name, (key, meaning) in _SETS.items():
        words = _literal(_kinds()[key])
        assert words is not None
        parts.append(f'{name}: TypeAlias = {words}\n"""{meaning}"""\n')
    for path, (name, base, meaning) in CLASSES.items():
        parts.append(_class(path, name, base, meaning))
        if name == "Command":
            parts.append(_ONE_COMMAND)
    return f"{_HEAD}\n\n" + "\n\n".join(parts)


def keywords_of_connections() -> list[str]:
    """The keywords of a conninfo that the core takes, by their table in its sources."""
    sources = (PACKAGE.parents[1] / "src" / "pg" / "conninfo").glob("*.rs")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    return re.findall(r'^    \("(\w+)", "\w*", Use::Taken\),$', text, re.M)


def annotation(key: str, kind: str) -> str:
    """The annotation of a key.

    Args:
        key: its path.
        kind: its type, as the core's table names it.
    """
    words = BY_KEY.get(key) or ANNOTATIONS.get(kind) or _literal(kind)
    if words is None:
        raise ValueError(f"{key}: no annotation for the type {kind!r}: name one in {__file__}")
    return words


def _literal(kind: str) -> str | None:
    words = kind.split(", ")
    if len(words) < 2 or not all(re.fullmatch("[a-z_]+", word) for word in words):
        return None
    return "Literal[" + ", ".join(f'"{word}"' for word in words) + "]"


def _class(path: str, name: str, base: str, about: str) -> str:
    lines = [f"class {name}({base or 'TypedDict'}, total=False):", f'    """{about}"""']
    for key, kind, meaning in _keys(path):
        at = f"{path}.{key}" if path else key
        lines += ["", f"    {key}: {annotation(at, kind)}", *_docstring(meaning)]
    return "\n".join(lines) + "\n"


def _docstring(meaning: str) -> list[str]:
    # A value or a name that an explanation begins with stays as it is written.
    begins_with_word = re.match(r"[a-z]+[ ;,]", meaning) is not None
    text = meaning[0].upper() + meaning[1:] if begins_with_word else meaning
    text = re.sub(r"`([^`]*)`", r"``\1``", text)
    quote = '"""'
    lines = wrap(f"{quote}{text}.{quote}", 94, break_long_words=False, break_on_hyphens=False)
    if len(lines) > 1:
        lines = wrap(f"{quote}{text}.", 94, break_long_words=False, break_on_hyphens=False)
        lines.append(quote)
    return [f"    {line}" for line in lines]


def _keys(path: str) -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of the keys directly in a mapping."""
    for entry in _native.config_keys():
        parent, _, key = entry["key"].rpartition(".")
        if parent != path or key == "<option>" or entry["key"] in _LEFT_OUT:
            continue
        if key != "<keyword>":
            yield key, entry["type"], entry["meaning"]
            continue
        listed = {known.rpartition(".")[2] for known in _kinds() if known.startswith(f"{path}.")}
        for keyword in keywords_of_connections():
            if keyword not in listed:
                same = [of for of, to in _SAME.items() if to == keyword]
                meaning = f"the same as `{same[0]}`" if same else "as libpq takes it"
                yield keyword, "string" if same else entry["type"], meaning


def _kinds() -> dict[str, str]:
    return {entry["key"]: entry["type"] for entry in _native.config_keys()}
