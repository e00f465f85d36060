"""What the core returns: frozen values with names and types, and their base classes.

A `Record` mirrors one mapping of the core, key by key; a key too many or too few is an
`InternalError`. None of them holds a password or a row. The bounds of a plan's chunks may be values
of a key: integers and dates as they are, uuids and times made coarse. Plans and results, in
`_results`, are made of records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import eq
from typing import Any, ClassVar, TypeAlias, TypeVar, overload

from pgmigrate import _native
from pgmigrate._values.error import InternalError

Rows: TypeAlias = _native.TaskRows | _native.ResultRows
RecordT = TypeVar("RecordT", bound="Record")
RecordT_co = TypeVar("RecordT_co", bound="Record", covariant=True)


class Record:
    """A value made from a mapping of the core."""

    # Fields that are records themselves, or sequences of records.
    _parts: ClassVar[Mapping[str, type[Record]]] = {}

    @classmethod
    def from_mapping(cls: type[RecordT], mapping: Mapping[str, Any]) -> RecordT:
        """Builds the value from a mapping of the core.

        Raises:
            InternalError: the keys of the mapping are not the fields of the class.
        """
        expected = _fields(cls).keys()
        if mapping.keys() != expected:
            odd = ", ".join(sorted(mapping.keys() ^ expected))
            raise InternalError(
                f"{cls.__name__}: the core and the Python package differ in {odd}",
                name="halves_differ",
                remedy="reinstall pgmigrate: its two halves are of different versions",
            )
        return cls(**{name: cls._part(key, mapping[key]) for key, name in _fields(cls).items()})

    @classmethod
    def _part(cls, key: str, value: Any) -> Any:
        part = cls._parts.get(key)
        if isinstance(value, list):
            return tuple(value if part is None else map(part.from_mapping, value))
        if isinstance(value, Rows) and part is not None:
            return Records(part, value)
        return value if part is None or value is None else part.from_mapping(value)

    def to_dict(self) -> dict[str, Any]:
        """The value as the core's mapping: dict, list and scalars all the way down."""
        return {key: _plain(getattr(self, name)) for key, name in _fields(type(self)).items()}

    def to_json(self, *, indent: int | None = None) -> str:
        """The value as JSON text.

        Args:
            indent: blanks per level; all on one line if None.
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)


def _fields(of: type[Record]) -> dict[str, str]:
    """Key of the core's mapping -> attribute of the class, in the attributes' order."""
    found = fields(of)  # type: ignore[arg-type]
    return {field.metadata.get("key", field.name): field.name for field in found}


class Records(Sequence[RecordT_co]):
    """Records that the core holds, each built when it is accessed: a long result costs little.

    It is equal to a tuple of the same records, and is unpickled as a tuple. For mappings use the
    plan's or result's `to_dict`, not `dataclasses.asdict`, which does not convert its records.

    Args:
        kind: their class.
        rows: what the core holds.
    """

    __slots__ = ("_kind", "rows")

    def __init__(self, kind: type[RecordT_co], rows: Rows) -> None:
        self._kind = kind
        self.rows = rows

    def mappings(self) -> list[dict[str, Any]]:
        """All of them as the core's mappings."""
        keys = _fields(self._kind)
        return [{key: row[key] for key in keys} for row in map(self.rows.__getitem__, self._places)]

    @property
    def _places(self) -> range:
        return range(len(self.rows))

    @overload
    def __getitem__(self, index: int) -> RecordT_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RecordT_co, ...]: ...
    def __getitem__(self, index: int | slice) -> RecordT_co | tuple[RecordT_co, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in self._places[index])
        return self._kind.from_mapping(self.rows[self._places[index]])

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Records | tuple):
            return len(self) == len(other) and all(map(eq, self, other))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (list(self),)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Records):
        return value.mappings()
    if isinstance(value, _native.PlanText):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
