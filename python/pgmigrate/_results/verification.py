"""Whether the target equals the source: the result of comparing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pgmigrate._results.tabular import Tabular
from pgmigrate._values.finding import Difference
from pgmigrate._values.humanize import objects, plural, printed
from pgmigrate._values.record import Record
from pgmigrate._values.sets import TableStatus, Verdict
from pgmigrate.errors import VerifyError

_NAMED_AT_MOST: Final = 10
SETTING_LEFT_OUT: Final = "setting left out"
"""The kind of settings that every run leaves out; they do not affect the verdict."""
OPTION_LEFT_OUT: Final = "option"
"""The kind of what the options leave out, which does not affect the verdict, either."""
_WORDS: Final[Mapping[str, str]] = {
    "contains_source": "the target has more rows than the source",
    "different": "source and target differ",
    "not_compared": "not all of source and target was compared",
}


@dataclass(frozen=True)
class TableResult(Record):
    """The result of verifying a table.

    Attributes:
        object: the table.
        status: ``equal``; ``contains_source``, if the target has every row of the source and
            more; ``different``; ``unchecked``.
        source_rows: rows on the source.
        target_rows: rows on the target.
        more_rows: rows that only the target has, if the rows themselves were compared.
        held_rows: whether the table held rows before the run, by the target's ledger.
        seconds: how long it took.
        note: further information, such as why it was not checked.
    """

    object: str
    status: TableStatus
    source_rows: int | None
    target_rows: int | None
    more_rows: int
    held_rows: bool
    seconds: float
    note: str


@dataclass(frozen=True)
class Unchecked(Record):
    """Something that could not be compared, and why.

    Attributes:
        object: what.
        reason: why.
    """

    object: str
    reason: str


@dataclass(frozen=True)
class Remark(Record):
    """A fact about an object that a verification reports separately from the differences.

    Attributes:
        kind: the kind of object, such as ``index``.
        object: the object.
        message: what was noticed.
    """

    kind: str
    object: str
    message: str

    @printed
    def text(self) -> str:
        """The remark on one line."""
        return f"{self.kind} {self.object}: {self.message}"


@dataclass(frozen=True)
class KindCount(Record):
    """How many objects of one kind were compared.

    Attributes:
        kind: the kind, such as ``table``.
        objects: how many.
    """

    kind: str
    objects: int


@dataclass(frozen=True, repr=False)
class VerifyResult(Tabular):
    """Whether the target equals the source.

    ``verdict`` depends on what the two databases hold now. It is computed from ``tables``,
    ``differences``, ``not_moved`` and ``unchecked``. An object that only the target has is a
    difference (``extra_object``) unless the ledger shows that it existed before the first run.
    ``materialized_views``, ``by_version`` and ``only_on_target`` are reported and do not affect the
    verdict: a refresh may legitimately produce other rows than the source holds, two versions may
    write one definition in two ways, and what the target had before is no loss.

    Attributes:
        verdict: ``equal``: everything in scope was compared, and no difference was found;
            ``contains_source``: the same, except for rows that only the target has;
            ``different``; ``not_compared``: no difference was found, and something could not be
            compared.
        equal: whether the verdict is ``equal``.
        tables: the tables, one by one.
        materialized_views: the materialized views, with how their rows compare after the refresh.
        differences: what differs, and what only the target has.
        by_version: what differs by the servers' versions only.
        only_on_target: objects that only the target has and that existed before the first run;
            extensions and settings of the database that only the target has.
        not_moved: objects of the source in scope that the plan does not have. Also settings that
            every run leaves out because they block writes on a source (``setting left out``), with
            the statement that sets them, and what the options leave out (``option``); these two do
            not affect the verdict.
        unchecked: what could not be compared; never counted as equal.
        compared: how many objects of each kind were compared.
    """

    _table: ClassVar[str] = "tables"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "tables": TableResult,
        "materialized_views": TableResult,
        "differences": Difference,
        "by_version": Remark,
        "only_on_target": Remark,
        "not_moved": Remark,
        "unchecked": Unchecked,
        "compared": KindCount,
    }

    verdict: Verdict
    equal: bool
    tables: tuple[TableResult, ...]
    materialized_views: tuple[TableResult, ...]
    differences: tuple[Difference, ...]
    by_version: tuple[Remark, ...]
    only_on_target: tuple[Remark, ...]
    not_moved: tuple[Remark, ...]
    unchecked: tuple[Unchecked, ...]
    compared: tuple[KindCount, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was compared, and the target has all that the source has.

        The target may have more rows in tables that held rows before the run: `verdict` is then
        ``contains_source``.
        """
        if self.verdict == "contains_source":
            return all(table.held_rows for table in self.larger_tables)
        return self.verdict == "equal"

    @property
    def larger_tables(self) -> tuple[TableResult, ...]:
        """The tables that have all rows of the source and additional ones."""
        return tuple(table for table in self.tables if table.status == "contains_source")

    @property
    def changed_views(self) -> tuple[TableResult, ...]:
        """The materialized views whose rows differ from those of the source."""
        return tuple(view for view in self.materialized_views if view.status == "different")

    def raise_for_differences(self) -> None:
        """Raises an error unless `ok` is true.

        Raises:
            VerifyError: something differs or could not be compared, or a table that held no rows
                before the run has more rows than the source's.
        """
        if self.ok:
            return
        # Rows of one table that differ in the same way are one line.
        named = list(dict.fromkeys(item.text(with_key=False) for item in self.differences))
        named += [f"{table.object} {table.note}" for table in self.larger_tables]
        lacking = [
            item for item in self.not_moved if item.kind not in (SETTING_LEFT_OUT, OPTION_LEFT_OUT)
        ]
        named += [f"{item.object} is not moved: {item.message}" for item in lacking]
        named += [f"{item.object} could not be compared: {item.reason}" for item in self.unchecked]
        raise VerifyError(
            f"{_WORDS[self.verdict]}: {_first(named)}",
            name="verification_failed",
            differences=self.differences,
        )

    @printed
    def text(self) -> str:
        """A text for people."""
        lines = [f"verification: {self.headline()} ({self._amounts()})"]
        lines += [f"  more rows: {item.object}: {item.note}" for item in self.larger_tables]
        lines += [f"  {item.kind.replace('_', ' ')}: {item.text()}" for item in self.differences]
        lines += [f"  not moved: {item.text()}" for item in self.not_moved]
        lines += [f"  unchecked: {item.object}: {item.reason}" for item in self.unchecked]
        lines += [f"  materialized view: {_view(item)}" for item in self.changed_views]
        lines += [f"  by version: {item.text()}" for item in self.by_version]
        lines += [f"  only on the target: {item.text()}" for item in self.only_on_target]
        return "\n".join(lines)

    @printed
    def headline(self) -> str:
        """The verdict in a few words."""
        if self.verdict == "different":
            return "NOT EQUAL"
        if self.verdict == "not_compared":
            return "NOT ALL COMPARED"
        words = "equal"
        if self.verdict == "contains_source":
            more = sum(table.more_rows for table in self.larger_tables)
            words = f"the target contains the source and {plural(more, 'more row')}"
        if views := len(self.changed_views):
            words += f", but for the rows of {plural(views, 'materialized view')}"
        return words

    def _amounts(self) -> str:
        rows = sum(table.target_rows or 0 for table in self.tables)
        words = f"{plural(len(self.tables), 'table')}, {plural(rows, 'row')}"
        number = sum(item.objects for item in self.compared)
        if not number:
            return words
        kinds = ", ".join(objects(item.objects, item.kind) for item in self.compared)
        return f"{words}; {plural(number, 'object')} compared: {kinds}"


def _view(view: TableResult) -> str:
    counts = (view.source_rows or 0, view.target_rows or 0)
    rows = f"{plural(counts[0], 'row')} on the source, {counts[1]:,} on the target"
    return f"{view.object}: {view.note} ({rows})"


def _first(words: Sequence[str]) -> str:
    more = len(words) - _NAMED_AT_MOST
    return "; ".join(words[:_NAMED_AT_MOST]) + (f"; and {more:,} more" if more > 0 else "")
