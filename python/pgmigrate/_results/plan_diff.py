"""How two plans differ: what a plan that was kept lacks, and what it has that is no longer so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pgmigrate._results.tabular import Tabular
from pgmigrate._values.humanize import plural, printed
from pgmigrate._values.record import Record

Became: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class PlanChange(Record):
    """An object in which two plans differ.

    Attributes:
        object: its name.
        kind: what of it differs, such as ``table``, ``index`` or ``privileges``.
        change: ``added``, where only the later plan has it; ``removed``; or ``changed``.
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
    """How a plan that was kept differs from a later one.

    Attributes:
        basis: what both stand on: another source, or keys of the configuration with other values.
        changes: the objects that differ, by name.
        resized: tables that have another size, or are cut into other parts. That makes no
            difference: the first and the last part are open, so a kept plan copies every row.
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
        """How many differences there are, in a few words."""
        if self.same:
            return "no difference"
        counts = {word: sum(one.change == word for one in self.changes) for word in _WORDS}
        parts = [f"{number:,} {word}" for word, number in counts.items() if number]
        basis = [plural(len(self.basis), "key") + " of the configuration or source"]
        return ", ".join([*(basis if self.basis else ()), *parts])

    @printed
    def text(self) -> str:
        """A text for people: one line a difference."""
        lines = [f"  {line}" for line in (*self.basis, *(one.text() for one in self.changes))]
        if self.resized:
            tables = plural(len(self.resized), "table")
            lines.append(f"  (no difference: {tables} of another size, or cut into other parts)")
        return "\n".join([f"plan: {self.headline()}", *lines])


_WORDS: tuple[Became, ...] = ("added", "removed", "changed")
