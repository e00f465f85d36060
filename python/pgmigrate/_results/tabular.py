"""Results as data frames, as Arrow streams, and as HTML in a notebook.

pandas, nanoarrow and altair are imported when they are needed: the base package does not depend on
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar, Final

from pgmigrate._results.shown import display
from pgmigrate._values.record import Record, Records

_SHOWN_IN_WORDS: Final = 3

if TYPE_CHECKING:
    import pandas

    from pgmigrate._results.arrow import ArrowTable


def _brief(value: object) -> str:
    if isinstance(value, tuple | Records) and len(value) > _SHOWN_IN_WORDS:
        return f"<{len(value):,} of {type(value[0]).__name__}>"
    return repr(value)


class Tabular(Record):
    """A result that can be read as tables: its parts, one of which is the main part."""

    # The part that `to_pandas` and the Arrow interface return if none is named; empty if the result
    # itself is one row.
    _table: ClassVar[str] = ""

    def to_pandas(self, part: str | None = None) -> pandas.DataFrame:
        """One part of the result as a data frame, a row for each record.

        Args:
            part: which part, by the name of its attribute: a plan has ``tasks``, ``absent`` and
                ``findings``. The main one if None; a result without parts is one row.

        Raises:
            ValueError: there is no such part.
            ImportError: pandas is missing (``pip install 'pgmigrate[pandas]'``).
        """
        from pgmigrate._results.frame import frame

        return frame(*self._rows_of(part))

    def arrow(self, part: str | None = None) -> ArrowTable:
        """One part of the result for libraries that read Arrow: pandas, polars, duckdb, pyarrow...

        They also accept the result itself, which then means its main part.

        Args:
            part: as in `to_pandas`.

        Raises:
            ValueError: there is no such part.
            ImportError: nanoarrow is missing (``pip install 'pgmigrate[arrow]'``).
        """
        from pgmigrate._results.arrow import ArrowTable

        return ArrowTable(*self._rows_of(part))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The main part by Arrow's PyCapsule interface.

        See https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
        """
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        """The columns of the main part by Arrow's PyCapsule interface."""
        return self.arrow().__arrow_c_schema__()

    def __repr__(self) -> str:
        # Notebooks store it in addition to the HTML, and a result may have a hundred thousand
        # items.
        shown = ", ".join(f"{name}={_brief(getattr(self, name))}" for name in self._names())
        return f"{type(self).__name__}({shown})"

    def _names(self) -> list[str]:
        return [field.name for field in fields(self)]  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return display().html(self)

    def _rows_of(self, part: str | None) -> tuple[type[Record], Sequence[Record]]:
        name = self._table if part is None else part
        if not name:
            return type(self), (self,)
        rows = getattr(self, name) if name in self._parts else None
        if not isinstance(rows, tuple | Records):
            names = [known for known in self._parts if isinstance(getattr(self, known), Sequence)]
            known = f"choose among {', '.join(names)}" if names else "the result has none"
            raise ValueError(f"there is no part {name!r}: {known}")
        return self._parts[name], rows
