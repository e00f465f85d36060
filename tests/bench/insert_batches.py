"""A copy by INSERT: 1,000 rows a statement with ON CONFLICT DO NOTHING, through psycopg.

A program, as people write it for one migration: the schema and the keys by pg_dump and pg_restore,
then table after table, then what else the schema has. Its arguments are two conninfos.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

ROWS: Final = 1000
_MOST_PARAMETERS: Final = 65535
_ARCHIVE: Final = "schema.dump"


def copy(source: str, target: str) -> None:
    """Copies a database.

    Args:
        source: its conninfo.
        target: the conninfo of an empty database.
    """
    sections = ("--section=pre-data", "--section=post-data")
    _call("pg_dump", "--format=custom", *sections, f"--file={_ARCHIVE}", source)
    restore = ("pg_restore", "--exit-on-error", f"--dbname={target}")
    _call(*restore, "--section=pre-data", _ARCHIVE)
    listed = _call("pg_restore", "--section=post-data", "--list", _ARCHIVE).splitlines()
    with psycopg.connect(source) as reader, psycopg.connect(target, autocommit=True) as writer:
        # Without its key, a table would take every row twice.
        names = _keys(reader)
        keys = [line for line in listed if any(f" CONSTRAINT {name} " in line for name in names)]
        _restore_some(restore, "keys.list", keys)
        for schema, table, columns in _tables(reader):
            _copy_table(reader, writer, sql.Identifier(schema, table), columns)
    _restore_some(restore, "rest.list", [line for line in listed if line not in keys])
    _call("vacuumdb", "--analyze-only", "--quiet", f"--maintenance-db={target}", target)


def _keys(reader: psycopg.Connection[Any]) -> list[str]:
    """Primary and unique keys as pg_restore lists them; ON CONFLICT refuses deferrable ones."""
    found = reader.execute(
        """
        SELECT concat_ws(' ', n.nspname, c.relname, k.conname)
        FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE k.contype IN ('p', 'u') AND NOT k.condeferrable
        """
    )
    return [name for (name,) in found]


def _tables(reader: psycopg.Connection[Any]) -> list[tuple[str, str, list[str]]]:
    return reader.execute(
        """
        SELECT n.nspname, c.relname,
            (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND a.attgenerated = '')
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ORDER BY c.oid
        """
    ).fetchall()


def _copy_table(
    reader: psycopg.Connection[Any],
    writer: psycopg.Connection[Any],
    table: sql.Identifier,
    columns: Sequence[str],
) -> None:
    names = [sql.Identifier(column) for column in columns]
    as_text = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
    with reader.cursor(name="rows") as cursor:
        cursor.itersize = ROWS
        cursor.execute(sql.SQL("SELECT {} FROM ONLY {}").format(as_text, table))
        while rows := cursor.fetchmany(min(ROWS, _MOST_PARAMETERS // len(names))):
            row = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(names)))
            insert = sql.SQL(
                "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES {} ON CONFLICT DO NOTHING"
            ).format(table, sql.SQL(", ").join(names), sql.SQL(", ").join([row] * len(rows)))
            writer.execute(insert, [value for values in rows for value in values])


def _restore_some(restore: Sequence[str], path: str, lines: Sequence[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - one line of a short script
        file.writelines(f"{line}\n" for line in lines)
    _call(*restore, f"--use-list={path}", _ARCHIVE)


def _call(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    copy(sys.argv[1], sys.argv[2])
