"""A database of many tables, made like that of a service which gives each tenant a schema.

A schema has 25 tables, each with a primary key: 20 plain ones and one cut into four partitions.
Such databases also have: columns numbered from sequences, foreign keys, comments,
and privileges for two roles.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import psycopg

TABLES: Final = 25
_PLAIN: Final = 20
_READER: Final = "tenants_reader"
_WRITER: Final = "tenants_writer"


def fill(connection: psycopg.Connection[Any], objects: int) -> int:
    """Makes tables and their indexes in an empty database.

    Args:
        connection: a superuser's, in autocommit mode.
        objects: how many tables and indexes; rounded to whole schemas.

    Returns:
        how many there are.
    """
    for role in (_READER, _WRITER):
        with suppress(psycopg.errors.DuplicateObject):
            connection.execute(f"CREATE ROLE {role}")
    schemas = max(1, round(objects / (2 * TABLES)))
    for number in range(schemas):
        # One message and one transaction a schema saves most of the time.
        connection.execute("".join(_schema(f"tenant_{number:05}")))
    connection.execute("VACUUM pg_catalog.pg_class, pg_catalog.pg_attribute, pg_catalog.pg_depend")
    connection.execute("ANALYZE")
    return schemas * 2 * TABLES


def _schema(schema: str) -> Iterator[str]:
    yield f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {_READER}, {_WRITER};"
    for number in range(_PLAIN):
        yield from _table(schema, number)
    yield f"""
        CREATE TABLE {schema}.event (
            id bigint NOT NULL, happened_on date NOT NULL, details jsonb,
            PRIMARY KEY (id, happened_on)
        ) PARTITION BY RANGE (happened_on);
        GRANT SELECT ON {schema}.event TO {_READER};
        """
    for year in range(2023, 2023 + TABLES - _PLAIN - 1):
        yield f"""
            CREATE TABLE {schema}.event_{year} PARTITION OF {schema}.event
            FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01');
            """


def _table(schema: str, number: int) -> Iterator[str]:
    name = f"{schema}.record_{number:02}"
    key = "bigserial" if number % 2 else "bigint"
    yield f"""
        CREATE TABLE {name} (
            id {key} PRIMARY KEY, parent bigint, label text NOT NULL DEFAULT '',
            amount numeric(12, 2) CHECK (amount >= 0), changed_at timestamptz DEFAULT now()
        );
        GRANT SELECT ON {name} TO {_READER};
        """
    if number % 4 == 0:
        yield f"GRANT INSERT, UPDATE, DELETE ON {name} TO {_WRITER};"
        yield f"COMMENT ON TABLE {name} IS 'Records of kind {number}, kept for ten years.';"
    if number % 3 == 1:
        yield f"ALTER TABLE {name} ADD FOREIGN KEY (parent) REFERENCES {schema}.record_00;"
