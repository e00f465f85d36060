"""What the core gives back: frozen values with names and types, and the two that all others share.

A `Record` mirrors one mapping of the core, key by key; a key too many or too few is an
`InternalError`. None of them holds a password or the value of a row. Plans and results are made of
records in `_plan` and `_report`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from pgmigrate.errors import InternalError

RecordT = TypeVar("RecordT", bound="Record")


class Record:
    """A value that came from the core as a mapping."""

    # Fields that are records themselves, or sequences of records.
    _parts: ClassVar[Mapping[str, type[Record]]] = {}

    @classmethod
    def from_mapping(cls: type[RecordT], mapping: Mapping[str, Any]) -> RecordT:
        """The value for a mapping of the core.

        Raises:
            InternalError: the mapping has other keys than the class has fields.
        """
        expected = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if mapping.keys() != expected:
            odd = ", ".join(sorted(mapping.keys() ^ expected))
            raise InternalError(
                f"{cls.__name__}: the core and the Python package differ in {odd}",
                remedy="reinstall pgmigrate: its two halves are of different versions",
            )
        return cls(**{key: cls._part(key, value) for key, value in mapping.items()})

    @classmethod
    def _part(cls, key: str, value: Any) -> Any:
        part = cls._parts.get(key)
        if isinstance(value, list):
            return tuple(value if part is None else map(part.from_mapping, value))
        return value if part is None or value is None else part.from_mapping(value)

    def to_dict(self) -> dict[str, Any]:
        """The value as the core's mapping: dict, list and scalars all the way down."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)  # type: ignore[arg-type]
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """The value as JSON text.

        Args:
            indent: blanks per level; all on one line when None.
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Finding(Record):
    """Something found out about the two databases that a person should know.

    Attributes:
        check: a stable name of the check, such as ``target_version``.
        severity: ``info``, ``warning`` or ``blocking``.
        object: what it is about, quoted as SQL quotes it; empty for a whole server.
        message: what was found.
        remedy: what to do about it; empty where there is nothing to do.
    """

    check: str
    severity: str
    object: str
    message: str
    remedy: str

    def text(self) -> str:
        """The finding on one line, the remedy on a second one."""
        about = f"{self.object}: " if self.object and self.object not in self.message else ""
        line = f"{self.severity}: {about}{self.message}"
        return f"{line}\n    remedy: {self.remedy}" if self.remedy else line


@dataclass(frozen=True)
class Absent(Record):
    """An object of the source that the target will not have, and why.

    Attributes:
        kind: what it is, such as ``INDEX``.
        object: its name, quoted as SQL quotes it.
        reason: why it is left out.
    """

    kind: str
    object: str
    reason: str


def absent_lines(absent: Sequence[Absent]) -> list[str]:
    """What the target lacks, with a headline; no line where it lacks nothing."""
    if not absent:
        return []
    named = [f"  {item.kind} {item.object}: {item.reason}" for item in absent]
    return ["not on the target:", *named]


def finding_lines(findings: Sequence[Finding], head: str = "findings:") -> list[str]:
    """Findings below a headline; no line where there are none."""
    lines = [f"  {finding.text()}" for finding in findings]
    return [head, *lines] if head and lines else lines
