"""Records as an Arrow stream (extra ``pgmigrate[arrow]``), for pandas, polars, duckdb, pyarrow...

The library is nanoarrow, which is part of Apache Arrow, has no dependencies and a fiftieth of
pyarrow's size. It is sufficient here, because columns are only passed on.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from pgmigrate._results.columns import ColumnType, column_types, columns_of
from pgmigrate._values.record import Record

try:
    import nanoarrow
except ImportError as _error:
    raise ImportError(
        "the Arrow interface needs nanoarrow: pip install 'pgmigrate[arrow]'", name="nanoarrow"
    ) from _error


class ArrowTable:
    """A part of a result, as Arrow's PyCapsule interface offers it.

    Args:
        kind: the class of its records, whose attributes are the columns.
        records: the rows.
    """

    def __init__(self, kind: type[Record], records: Sequence[Record]) -> None:
        self._kind = kind
        self._records = records

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows. A requested schema is ignored, which the interface allows."""
        stream = nanoarrow.c_array_stream(self._array())
        return stream.__arrow_c_stream__()

    def __arrow_c_schema__(self) -> object:
        """The columns."""
        return nanoarrow.c_schema(self._schema()).__arrow_c_schema__()

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        names = ", ".join(column_types(self._kind))
        return f"ArrowTable({self._kind.__name__}: {len(self):,} rows of {names})"

    def _schema(self) -> Any:
        types = column_types(self._kind)
        return nanoarrow.struct(
            {name: _schema_of(held, optional) for name, (held, optional) in types.items()},
            nullable=False,
        )

    def _array(self) -> Any:
        columns = columns_of(self._kind, self._records)
        children = [_column(columns[name], *of) for name, of in column_types(self._kind).items()]
        return nanoarrow.c_array_from_buffers(
            self._schema(), len(self), [None], children=children, null_count=0
        )


def _schema_of(held: ColumnType, optional: bool) -> Any:
    match held:
        case ColumnType.INTEGER:
            return nanoarrow.int64(nullable=optional)
        case ColumnType.FLOAT:
            return nanoarrow.float64(nullable=optional)
        case ColumnType.TEXT:
            return nanoarrow.string(nullable=optional)
        case ColumnType.BOOLEAN:
            return nanoarrow.bool_(nullable=optional)
        case ColumnType.TEXTS:
            return nanoarrow.list_(nanoarrow.string(nullable=False), nullable=optional)


def _column(values: list[Any], held: ColumnType, optional: bool) -> Any:
    schema = _schema_of(held, optional)
    if held is not ColumnType.TEXTS:
        return nanoarrow.c_array(values, schema)
    ends = array("i", [0])
    for texts in values:
        ends.append(ends[-1] + len(texts))
    flat = [text for texts in values for text in texts]
    items = nanoarrow.c_array(flat, nanoarrow.string(nullable=False))
    return nanoarrow.c_array_from_buffers(
        schema, len(values), [None, ends], children=[items], null_count=0
    )
