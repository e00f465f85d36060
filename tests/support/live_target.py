"""A target that is alive: tables with foreign keys and triggers of its own, and runs into it."""

from __future__ import annotations

import psycopg

from conftest import Pair
from support import servers

TABLES = """
CREATE SCHEMA s;
CREATE TABLE s.parent (id int PRIMARY KEY, v text);
CREATE TABLE s.child (
    id int PRIMARY KEY,
    parent int CONSTRAINT child_parent REFERENCES s.parent ON DELETE CASCADE
);
CREATE TABLE s.tree (id int PRIMARY KEY, up int CONSTRAINT tree_up REFERENCES s.tree);
"""
ROWS = """
INSERT INTO s.parent SELECT i, 'v' || i FROM generate_series(1, 40) i;
INSERT INTO s.child SELECT i, 41 - i FROM generate_series(1, 40) i;
INSERT INTO s.tree SELECT i, CASE WHEN i < 40 THEN i + 1 END FROM generate_series(1, 40) i;
"""
TRIGGERS = """
CREATE TABLE s.fired (trigger text, id int);
CREATE FUNCTION s.hear() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO s.fired VALUES (TG_NAME, NEW.id); NEW.v := 'changed'; RETURN NEW; END $$;
CREATE TRIGGER ordinary BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER always BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER replica BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
CREATE TRIGGER off BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE FUNCTION s.hear();
ALTER TABLE s.parent ENABLE ALWAYS TRIGGER always;
ALTER TABLE s.parent ENABLE REPLICA TRIGGER replica;
ALTER TABLE s.parent DISABLE TRIGGER off;
"""
STATES = "SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
KEYS = """
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), convalidated,
       obj_description(oid, 'pg_constraint')
FROM pg_constraint
WHERE contype = 'f' AND connamespace IS DISTINCT FROM to_regnamespace('pgmigrate')
ORDER BY 1, 2
"""
CHUNKS = [
    {"schema": "s", "name": name, "chunk_column": "id", "chunk_size": 10}
    for name in ("parent", "tree")
]
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name ~ '^pgmigrate t' AND wait_event_type = 'Lock'
"""


def execute(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def databases(
    pair: Pair, more: str = "", *, tables: str = TABLES, rows: str = ROWS
) -> tuple[str, str]:
    """A source with rows, and a target with the same tables and something more."""
    made = pair.source(), pair.target()
    servers.run_script(made[0], tables + rows)
    servers.run_script(made[1], tables + more)
    return made


def assert_same_rows(found: tuple[str, str], *names: str) -> None:
    for name in names:
        assert servers.rows(found[1], "s", name) == servers.rows(found[0], "s", name), name
