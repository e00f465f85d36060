"""Databases for data-only runs: a source, and a target whose tables are there already."""

from __future__ import annotations

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, PreflightError, Report
from support import dumps, servers

SOURCE = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE TABLE app.author (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(10) NOT NULL, mood app.mood,
    price numeric(6, 2), code char(5), flag boolean
);
CREATE TABLE app.book (
    id serial PRIMARY KEY, author int NOT NULL REFERENCES app.author, title text
);
INSERT INTO app.author (name, mood, price, code, flag)
    SELECT 'a' || i, CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'sad' END::app.mood, i / 4.0, 'c' || i,
           i % 3 = 0
    FROM generate_series(1, 50) AS i;
INSERT INTO app.book (author, title) SELECT i % 50 + 1, 't' || i FROM generate_series(1, 500) AS i;
CREATE SEQUENCE app.ticket;
SELECT setval('app.ticket', 41);
"""
TARGET = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('happy', 'ok', 'sad');
CREATE TABLE app.author (
    price numeric(10, 4), id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
    added timestamptz NOT NULL DEFAULT now(), mood app.mood, code varchar(20), flag text,
    loud text GENERATED ALWAYS AS (upper(name)) STORED, origin text DEFAULT 'import'
);
CREATE TABLE app.book (
    id serial PRIMARY KEY, title text, author bigint NOT NULL REFERENCES app.author
);
CREATE SEQUENCE app.ticket;
"""
AUTHORS = "SELECT id, name, mood::text, price, code, flag, loud, origin FROM app.author ORDER BY id"


def query(conninfo: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(text).fetchall()


def databases(pair: Pair, source: str = SOURCE, target: str = TARGET) -> tuple[str, str]:
    made = pair.source(), pair.target()
    servers.run_script(made[0], source)
    servers.run_script(made[1], target)
    return made


def migration(found: tuple[str, str], **keys: object) -> Migration:
    return Migration(source=found[0], target=found[1], **{"data_only": True, **keys})  # type: ignore[arg-type]


def run(found: tuple[str, str], **keys: object) -> Report:
    report = migration(found, **keys).run(jobs=3)
    report.raise_for_failures()
    return report


def blocking(found: tuple[str, str], **keys: object) -> dict[tuple[str, str], str]:
    """What blocks a run, by check and object; nothing was touched."""
    before = dumps.schema(found[1])
    with pytest.raises(PreflightError) as caught:
        run(found, **keys)
    assert dumps.schema(found[1]) == before
    findings = [f for f in caught.value.findings if f.severity == "blocking"]
    return {(f.check, f.object): f"{f.message} -> {f.remedy}" for f in findings}


def messages(report: Report, check: str) -> dict[str, str]:
    return {f.object: f.message for f in report.findings if f.check == check}
