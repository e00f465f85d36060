"""What a database contains, as far as the benchmark has to know: sizes, pieces, and the proof.

The proof is simple on purpose, for it follows every run: equal numbers of rows in every table, of
valid indexes, of constraints. Other tests compare values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psycopg

_OWN: Final = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgmigrate')"
_PARTS: Final = 8
_TABLES_AT_ONCE: Final = 100

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A table that holds rows.

    Attributes:
        name: schema and name, quoted as SQL has them.
        columns: the columns that are not generated, quoted.
        bytes: its size without indexes.
        pages: pages of its main fork.
    """

    name: str
    columns: str
    bytes: int
    pages: int


@dataclass(frozen=True)
class Piece:
    """A table, or a range of its pages.

    Attributes:
        table: the table.
        condition: what selects the rows; empty for all of them.
        bytes: about how large it is.
    """

    table: Table
    condition: str
    bytes: int

    def read(self, destination: str, options: str) -> str:
        """The COPY that reads it."""
        where = f" WHERE {self.condition}" if self.condition else ""
        query = f"SELECT {self.table.columns} FROM ONLY {self.table.name}{where}"
        return f"COPY ({query}) TO {destination}{options}"

    def load(self, origin: str, options: str) -> str:
        """The COPY that writes it."""
        return f"COPY {self.table.name} ({self.table.columns}) FROM {origin}{options}"


@dataclass(frozen=True)
class Proof:
    """What a copy must have in common with its source.

    Attributes:
        rows: rows by table.
        objects: how many valid indexes, validated constraints and populated views there are.
    """

    rows: dict[str, int]
    objects: dict[str, int]

    def difference(self, other: Proof) -> str:
        """What another proof does not share, in words; empty where they are equal."""
        for table, rows in self.rows.items():
            if other.rows.get(table) != rows:
                return f"{table} has {other.rows.get(table)} rows, not {rows}"
        for kind, count in self.objects.items():
            if other.objects[kind] != count:
                return f"{kind}: {other.objects[kind]}, not {count}"
        return ""


def tables(connection: psycopg.Connection[Any]) -> list[Table]:
    """Every ordinary table, partitions among them, largest first."""
    connection.execute("SET search_path = ''")
    found = connection.execute(
        f"""
        SELECT c.oid::regclass::text,
            coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), ''),
            pg_table_size(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::int
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped AND a.attgenerated = ''
        WHERE c.relkind = 'r' AND {_OWN}
        GROUP BY c.oid
        ORDER BY pg_table_size(c.oid) DESC, c.oid
        """
    )
    return [Table(*row) for row in found]


def pieces(found: Sequence[Table]) -> list[Piece]:
    """The tables, and what is more than an eighth of the database in ranges of its pages."""
    most = sum(table.bytes for table in found) / _PARTS
    result: list[Piece] = []
    for table in found:
        parts = min(math.ceil(table.bytes / most), table.pages) if most else 1
        if parts <= 1:
            result.append(Piece(table, "", table.bytes))
            continue
        bounds = [table.pages * part // parts for part in range(parts)]
        for first, following in zip(bounds, [*bounds[1:], None], strict=True):
            condition = f"ctid >= '({first},0)'::tid"
            if following is not None:
                condition += f" AND ctid < '({following},0)'::tid"
            result.append(Piece(table, condition, table.bytes // parts))
    return sorted(result, key=lambda piece: -piece.bytes)


def proof(connection: psycopg.Connection[Any]) -> Proof:
    """Counts what a database has."""
    names = [table.name for table in tables(connection)]
    rows: dict[str, int] = {}
    for some in batches(names, _TABLES_AT_ONCE):
        counts = [f"(SELECT count(*) FROM ONLY {name})" for name in some]
        counted = connection.execute(f"SELECT {', '.join(counts)}").fetchone() or ()
        rows.update(zip(some, counted, strict=True))
    found = connection.execute(
        f"""
        SELECT 'valid indexes', count(*)
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE i.indisvalid AND {_OWN}
        UNION ALL
        SELECT 'constraints', count(*)
        FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace
        WHERE k.contype IN ('p', 'u', 'x', 'f') AND k.convalidated AND {_OWN}
        UNION ALL
        SELECT 'populated views', count(*)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'm' AND c.relispopulated AND {_OWN}
        """
    )
    return Proof(rows, dict(found.fetchall()))


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in lists of at most `size`."""
    return [items[at : at + size] for at in range(0, len(items), size)]
