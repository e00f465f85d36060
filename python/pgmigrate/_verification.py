"""Whether the target equals the source: the result of comparing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pgmigrate._model import Record
from pgmigrate._tabular import Tabular
from pgmigrate._text import plural
from pgmigrate.errors import VerifyError

_NAMED_AT_MOST: Final = 10


@dataclass(frozen=True)
class TableResult(Record):
    """What verifying a table gave.

    Attributes:
        object: the table.
        status: ``equal``, ``different`` or ``unchecked``.
        source_rows: rows on the source.
        target_rows: rows on the target.
        seconds: how long it took.
        note: what else there is to say, such as why it was not checked.
    """

    object: str
    status: str
    source_rows: int | None
    target_rows: int | None
    seconds: float
    note: str


@dataclass(frozen=True)
class Difference(Record):
    """One thing in which source and target differ.

    Attributes:
        kind: what differs, such as ``row`` or ``sequence``.
        object: where.
        key: the key of the row, without the values of other columns.
        columns: the columns that differ.
        message: the difference in words.
    """

    kind: str
    object: str
    key: str | None
    columns: tuple[str, ...]
    message: str

    def text(self, *, with_key: bool = True) -> str:
        """The difference on one line.

        Args:
            with_key: name the row, too; its key is a value of the database.
        """
        about = "" if self.object in self.message else f"{self.object}: "
        row = f", key {self.key}" if with_key and self.key is not None else ""
        return f"{about}{self.message}{row}"


@dataclass(frozen=True)
class Unchecked(Record):
    """Something that could not be compared, and why.

    Attributes:
        object: what.
        reason: why.
    """

    object: str
    reason: str


@dataclass(frozen=True, repr=False)
class VerifyResult(Tabular):
    """Whether the target equals the source.

    Attributes:
        equal: no difference was found.
        tables: the tables, one by one.
        differences: what differs.
        unchecked: what could not be compared; never counted as equal.
    """

    _table: ClassVar[str] = "tables"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "tables": TableResult,
        "differences": Difference,
        "unchecked": Unchecked,
    }

    equal: bool
    tables: tuple[TableResult, ...]
    differences: tuple[Difference, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was compared and is equal."""
        return self.equal and not self.unchecked

    def raise_for_differences(self) -> None:
        """Does nothing where everything was compared and is equal.

        Raises:
            VerifyError: something differs or could not be compared.
        """
        if self.ok:
            return
        # Rows of one table that differ in the same way are one thing to name.
        named = list(dict.fromkeys(item.text(with_key=False) for item in self.differences))
        named += [f"{item.object} could not be compared: {item.reason}" for item in self.unchecked]
        raise VerifyError(
            f"source and target differ: {_first(named)}", differences=self.differences
        )

    def text(self) -> str:
        """A text for people."""
        rows = sum(table.target_rows or 0 for table in self.tables)
        about = f"{plural(len(self.tables), 'table')}, {plural(rows, 'row')}"
        lines = [f"verification: {'equal' if self.ok else 'NOT EQUAL'} ({about})"]
        lines += [f"  {item.kind.replace('_', ' ')}: {item.text()}" for item in self.differences]
        lines += [f"  unchecked: {item.object}: {item.reason}" for item in self.unchecked]
        return "\n".join(lines)


def _first(words: Sequence[str]) -> str:
    more = len(words) - _NAMED_AT_MOST
    return "; ".join(words[:_NAMED_AT_MOST]) + (f"; and {more:,} more" if more > 0 else "")
