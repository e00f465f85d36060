"""Facts about two databases: findings, objects that are left out, differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgmigrate._values.humanize import printed
from pgmigrate._values.record import Record
from pgmigrate._values.sets import DifferenceKind, Severity
from pgmigrate._values.wording import rendered


@dataclass(frozen=True)
class Finding(Record):
    """A fact about the two databases that a person should know.

    Attributes:
        check: a stable name of the check, such as ``target_version``.
        severity: ``info``, ``warning`` or ``blocking``.
        object: its object, quoted as SQL quotes it; empty for a whole server.
        message: what was found.
        remedy: what to do about it; empty if there is nothing to do.
        objects: all of its objects, if it covers several objects with one cause; the message names
            the first ones.
    """

    check: str
    severity: Severity
    object: str
    message: str
    remedy: str
    objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("message", "remedy"):
            object.__setattr__(self, name, rendered(getattr(self, name)))

    def words(self) -> str:
        """What was found, with its object."""
        about = f"{self.object}: " if self.object and self.object not in self.message else ""
        return f"{about}{self.message}"

    @printed
    def text(self) -> str:
        """The finding on one line, the remedy on a second one."""
        line = f"{self.severity}: {self.words()}"
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


@dataclass(frozen=True)
class Difference(Record):
    """One thing in which source and target differ.

    Attributes:
        kind: what differs, such as ``missing_row`` or ``sequence``.
        object: the object that differs.
        key: the key of the row, without the values of other columns.
        columns: the columns that differ.
        message: the difference in words.
    """

    kind: DifferenceKind
    object: str
    key: str | None
    columns: tuple[str, ...]
    message: str

    @printed
    def text(self, *, with_key: bool = True) -> str:
        """The difference on one line.

        Args:
            with_key: name the row, too; its key is a value of the database.
        """
        about = "" if self.object in self.message else f"{self.object}: "
        row = f", key {self.key}" if with_key and self.key is not None else ""
        return f"{about}{self.message}{row}"


def absent_lines(absent: Sequence[Absent]) -> list[str]:
    """What the target lacks, below a headline; no line if it lacks nothing."""
    if not absent:
        return []
    named = [f"  {item.kind} {item.object}: {item.reason}" for item in absent]
    return ["not on the target:", *named]


def finding_lines(findings: Sequence[Finding], head: str = "findings:") -> list[str]:
    """Findings below a headline; no line if there are none."""
    lines = [f"  {finding.text()}" for finding in findings]
    return [head, *lines] if head and lines else lines
