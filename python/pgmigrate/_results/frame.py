"""Records as a pandas data frame (extra ``pgmigrate[pandas]``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pgmigrate._results.columns import ColumnType, column_types, columns_of
from pgmigrate._values.record import Record

if TYPE_CHECKING:
    import pandas

# Integers that may be missing stay integers; pandas has no type for lists.
_TYPES: Final[Mapping[tuple[ColumnType, bool], str]] = {
    (ColumnType.INTEGER, False): "int64",
    (ColumnType.INTEGER, True): "Int64",
    (ColumnType.FLOAT, False): "float64",
    (ColumnType.FLOAT, True): "float64",
    (ColumnType.TEXT, False): "str",
    (ColumnType.TEXT, True): "str",
    (ColumnType.BOOLEAN, False): "bool",
    (ColumnType.BOOLEAN, True): "boolean",
}


def frame(kind: type[Record], records: Sequence[Record]) -> pandas.DataFrame:
    """The records as a data frame.

    Args:
        kind: their class, whose attributes are the columns.
        records: the rows.

    Raises:
        ImportError: pandas is missing.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "data frames need pandas: pip install 'pgmigrate[pandas]'", name="pandas"
        ) from error
    columns = columns_of(kind, records)
    series = {
        name: pandas.Series(columns[name], dtype=_TYPES.get(of, "object"))
        for name, of in column_types(kind).items()
    }
    made: pandas.DataFrame = pandas.DataFrame(series)
    return made
