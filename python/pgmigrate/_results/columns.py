"""Records turned into columns, for data frames and for Arrow; needs no other package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pgmigrate._values.record import Record, Records


class ColumnType(Enum):
    """What a column holds."""

    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"
    BOOLEAN = "boolean"
    TEXTS = "texts"


_TYPES: Mapping[Any, ColumnType] = {
    int: ColumnType.INTEGER,
    float: ColumnType.FLOAT,
    str: ColumnType.TEXT,
    bool: ColumnType.BOOLEAN,
    tuple[str, ...]: ColumnType.TEXTS,
}


def column_types(kind: type[Record]) -> dict[str, tuple[ColumnType, bool]]:
    """The columns of a kind of record: the type of each, and whether it may be empty."""
    hints = get_type_hints(kind)
    found = {}
    for field in fields(kind):  # type: ignore[arg-type]
        hint = hints[field.name]
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        held = [option for option in options if option is not type(None)]
        # A `Literal` of words is a text column.
        of = str if get_origin(held[0]) is Literal else held[0]
        found[field.name] = _TYPES[of], len(held) < len(options)
    return found


def columns_of(kind: type[Record], records: Sequence[Record]) -> dict[str, list[Any]]:
    """Each column's values, in the records' order."""
    if isinstance(records, Records):
        rows = records.mappings()
    else:
        rows = [record.to_dict() for record in records]
    return {name: [row[name] for row in rows] for name in column_types(kind)}
