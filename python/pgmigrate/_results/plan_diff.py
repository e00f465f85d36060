"""How a kept plan differs from a later one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pgmigrate._results.tabular import Tabular
from pgmigrate._values.humanize import plural, printed
from pgmigrate._values.record import Record
from pgmigrate._values.sets import Became


@dataclass(frozen=True)
class PlanChange(Record):
    """An object in which two plans differ.

    Attributes:
        object: its name.
        kind: what differs, such as ``table``, ``index`` or ``privileges``.
        change: ``added``, if only the later plan has it; ``removed``; or ``changed``.
    """

    object: str
    kind: str
    change: Became

    @printed
    def text(self) -> str:
        """The change on one line."""
        return f"{self.object}: {self.change} ({self.kind})"


@dataclass(frozen=True, repr=False)
class PlanDiff(Tabular):
    """How a kept plan differs from a later one.

    Attributes:
        basis: differences in what the plans are based on: another source, or keys of the
            configuration with other values.
        changes: the objects that differ, by name.
        resized: tables that have another size, or are cut into other chunks. This is not counted
            as a difference: the first and the last chunk have no outer bound, so a kept plan copies
            every row.
    """

    _table: ClassVar[str] = "changes"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"changes": PlanChange}

    basis: tuple[str, ...]
    changes: tuple[PlanChange, ...]
    resized: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether both plans do the same."""
        return not (self.basis or self.changes)

    @printed
    def headline(self) -> str:
        """The number of differences, in a few words."""
        if self.same:
            return "no difference"
        counts = {word: sum(one.change == word for one in self.changes) for word in _WORDS}
        parts = [f"{number:,} {word}" for word, number in counts.items() if number]
        basis = [plural(len(self.basis), "key") + " of the configuration or source"]
        return ", ".join([*(basis if self.basis else ()), *parts])

    @printed
    def text(self) -> str:
        """A text for people: one line for each difference."""
        lines = [f"  {line}" for line in (*self.basis, *(one.text() for one in self.changes))]
        if self.resized:
            tables = plural(len(self.resized), "table")
            lines.append(f"  (no difference: {tables} of another size, or cut into other parts)")
        return "\n".join([f"plan: {self.headline()}", *lines])


_WORDS: tuple[Became, ...] = ("added", "removed", "changed")
