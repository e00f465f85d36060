"""X5: what others do to the schema of the target is not restored away, and the run's own is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import CopyError, PgMigrateError, SafetyReport, SchemaError
from support import servers
from support.application import TABLES
from support.safety import REFUSING, contents, migration, states

OWN = """
CREATE ROLE :role; CREATE TABLE own (a int DEFAULT 1, b text, CONSTRAINT positive CHECK (a > 0));
CREATE INDEX own_b ON own (b); INSERT INTO own VALUES (1, 'x');
COMMENT ON TABLE own IS 'of the target'; COMMENT ON COLUMN own.b IS 'a column';
CREATE VIEW seen AS SELECT a FROM own;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE SEQUENCE numbers;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION touched();
CREATE POLICY mine ON own USING (true);
CREATE PUBLICATION own_rows FOR TABLE own;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO :role;
ALTER DATABASE :database SET work_mem = '5MB';
COMMENT ON DATABASE :database IS 'of the target';
SELECT lo_from_bytea(4711, 'own');
"""

# What others do, and what is said of it.
CHANGES = [
    ("CREATE VIEW other AS SELECT 1 AS a", "view public.other"),
    ("CREATE OR REPLACE VIEW seen AS SELECT a + 1 - 1 AS a FROM own", "view public.seen"),
    ("DROP VIEW seen", "view public.seen: it was dropped"),
    ("CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'", "function public.two()"),
    (
        "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 3'",
        "function public.one()",
    ),
    ("DROP FUNCTION one()", "function public.one(): it was dropped"),
    ("CREATE INDEX other ON own (a)", "index public.other"),
    ("DROP INDEX own_b", "index public.own_b: it was dropped"),
    ("ALTER TABLE own ADD CONSTRAINT more CHECK (a < 99)", "constraint more on table public.own"),
    ("ALTER TABLE own DROP CONSTRAINT positive", "table public.own"),
    ("ALTER TABLE own ALTER a SET DEFAULT 2", "table public.own"),
    ("ALTER TABLE own ALTER a DROP DEFAULT", "table public.own"),
    ("ALTER TABLE own ADD COLUMN c int", "table public.own"),
    ("ALTER TABLE own ALTER b SET NOT NULL", "table public.own"),
    ("GRANT SELECT ON own TO PUBLIC", "table public.own"),
    ("GRANT SELECT (b) ON own TO PUBLIC", "table public.own"),
    ("COMMENT ON TABLE own IS 'of others'", "the comment on table public.own"),
    ("COMMENT ON TABLE own IS NULL", "table public.own: a comment on it was removed"),
    ("COMMENT ON COLUMN own.b IS NULL", "table public.own: a comment on it was removed"),
    ("COMMENT ON FUNCTION one() IS 'of others'", "the comment on function public.one()"),
    ("COMMENT ON DATABASE :database IS NULL", "comments on the database: 1 were removed"),
    ("ALTER DATABASE :database SET work_mem = '6MB'", "a setting of database :database"),
    ("ALTER DATABASE :database RESET work_mem", "settings of the database: 1 were removed"),
    ("ALTER ROLE :role IN DATABASE :database SET work_mem = '7MB'", "a setting of database"),
    ("GRANT TEMPORARY ON DATABASE :database TO :role", "database :database"),
    ("CREATE SCHEMA other", "schema other"),
    ("GRANT USAGE ON SCHEMA public TO :role", "schema public"),
    ("CREATE TYPE other AS (a int)", "other"),
    ("ALTER TYPE mood ADD VALUE 'happy'", "type public.mood"),
    ("ALTER DOMAIN positive DROP CONSTRAINT above", "constraints of domains: 1 were removed"),
    ("ALTER DOMAIN positive ADD CHECK (VALUE < 9)", "constraint positive_check"),
    ("ALTER TABLE own DISABLE TRIGGER touch", "trigger touch on table public.own"),
    ("DROP TRIGGER touch ON own", "trigger public.own touch: it was dropped"),
    ("ALTER POLICY mine ON own USING (a = 1)", "policy mine on table public.own"),
    ("ALTER TABLE own ENABLE ROW LEVEL SECURITY", "table public.own"),
    ("CREATE RULE quiet AS ON DELETE TO own DO INSTEAD NOTHING", "rule quiet on table public.own"),
    ("CREATE STATISTICS pairs ON a, b FROM own", "statistics object public.pairs"),
    ("CREATE PUBLICATION other", "publication other"),
    (
        "ALTER PUBLICATION own_rows DROP TABLE own",
        "publication table public.own_rows own: it was dropped",
    ),
    ("ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM :role", "default acl"),
    ("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO :role", "default privileges"),
    ("CREATE CAST (mood AS int) WITH INOUT", "cast from public.mood to integer"),
    ("CREATE EXTENSION hstore", "extension hstore"),
    ("SELECT nextval('numbers')", "public.numbers: its value was changed"),
    ("CREATE SEQUENCE other", "sequence public.other"),
    ("SELECT lo_put(4711, 0, 'theirs')", "large objects: contents that the run did not write"),
    ("SELECT lo_from_bytea(4712, 'new')", "large object 4712"),
    ("SELECT lo_unlink(4711)", "it was dropped"),
]


def filled(target: str, prefix: str) -> dict[str, str]:
    """Fills a target with objects of its own; the names that statements about them need."""
    database = psycopg.conninfo.conninfo_to_dict(target)["dbname"]
    names = {":database": f'"{database}"', ":role": f'"{prefix}reader"'}
    servers.run_script(target, named(OWN, names))
    return names


def named(text: str, names: dict[str, str]) -> str:
    for mark, name in names.items():
        text = text.replace(mark, name)
    return text


def failed(
    databases: tuple[str, str],
    folder: Path,
    statement: str,
    *,
    error: type[PgMigrateError] = CopyError,
    **keys: Any,
) -> tuple[SafetyReport, Any]:
    """A procedure whose run fails, and others change the target then; what it was after that."""
    after: list[Any] = []

    def change(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("name"), event.get("state")) == (
            "procedure_step",
            "migrate",
            "failed",
        ):
            servers.run_script(databases[1], statement)
            after.append(contents(databases[1]))

    report = migration(databases, folder, {"stop": "true"}, **keys).run_safely(on_event=change)
    with pytest.raises(error):
        report.raise_for_failures()
    return report, after[0]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        # Every fourth each time, the others by `pytest -m matrix`.
        pytest.param(*change, marks=() if number % 4 == 0 else pytest.mark.matrix)
        for number, change in enumerate(CHANGES)
    ],
)
def test_changes_of_others_are_not_restored_away(
    written: tuple[str, str], tmp_path: Path, prefix: str, statement: str, said: str
) -> None:
    names = filled(written[1], prefix)
    servers.run_script(written[1], REFUSING)
    report, after = failed(written, tmp_path, named(statement, names))
    assert (report.status, report.restored) == ("not_restored", False), report.text()
    plain = {mark: name.strip('"') for mark, name in names.items()}
    assert any(named(said, plain) in line for line in report.others), report.others
    assert states(report)["check_writers"] == "failed" and "restore" not in states(report)
    assert contents(written[1])[0] == after[0]


def test_a_target_that_no_other_session_has_changed_is_restored(
    written: tuple[str, str], tmp_path: Path, prefix: str
) -> None:
    filled(written[1], prefix)
    servers.run_script(written[1], REFUSING)
    before = contents(written[1])
    # The server's own work is no change.
    report, _ = failed(written, tmp_path, "VACUUM (FREEZE, ANALYZE)")
    assert report.restored, report.text()
    assert contents(written[1]) == before


@contextmanager
def roles_of(source: str, target: str) -> Iterator[None]:
    """Has the roles of the source on the target, which nothing needs afterwards."""
    query = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'"
    missing = set(servers.fetch(source, query)) - set(servers.fetch(target, query))
    names = [f'"{name}"' for (name,) in missing]
    servers.run_script(target, "".join(f"CREATE ROLE {name};\n" for name in names))
    try:
        yield
    finally:
        servers.run_script(target, "".join(f"DROP ROLE {name};\n" for name in names))


@pytest.mark.parametrize(
    "schema", ["odd_names", "odd_objects", "odd_order", "odd_types", "pagila_like", "literals"]
)
def test_what_the_run_has_made_is_its_own(
    pair: Pair, tmp_path: Path, prefix: str, schema: str
) -> None:
    databases = pair.source(schema), pair.target()
    filled(databases[1], prefix)
    before = contents(databases[1])
    seen: list[tuple[str, str]] = []

    def fail(event: Mapping[str, Any]) -> None:
        if event["event"] == "procedure_step":
            seen.append((event["name"], event["state"]))
        if seen[-1:] == [("verify", "running")]:
            raise RuntimeError("enough")

    with roles_of(*databases):
        moved = migration(databases, tmp_path, {"stop": "true"})
        with suppress(RuntimeError):
            # Some of a source cannot be made on another major; then the run ends it.
            report = moved.run_safely(on_event=fail)
            assert report.restored, report.text()
        assert {("verify", "running"), ("restore", "done")} & set(seen)
        assert contents(databases[1]) == before


def test_a_table_that_the_run_empties_is_its_own(
    written: tuple[str, str], tmp_path: Path, prefix: str
) -> None:
    servers.run_script(written[1], TABLES)
    servers.run_script(written[1], "CREATE INDEX by_value ON settings (value)")
    refused = "ALTER TABLE settings ADD CONSTRAINT refused CHECK (value <> 'value7') NOT VALID"
    servers.run_script(written[1], refused)
    filled(written[1], prefix)
    before = contents(written[1])
    options = {"on_existing": "truncate", "data_only": True}
    report, _ = failed(written, tmp_path, "SELECT 1", options=options)
    assert report.restored, report.text()
    assert contents(written[1]) == before


def test_privileges_that_the_target_refuses_are_of_the_run(
    written: tuple[str, str], tmp_path: Path, prefix: str
) -> None:
    # What was granted before the target refused the rest is committed, and the task then fails.
    granted, unknown = f"{prefix}granted", f"{prefix}unknown"
    privileges = "; ".join(
        f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON LARGE OBJECT 4713 TO {role}; "
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"
        for schema in ("public", "moved")
        for role in (granted, unknown)
    )
    make = f"CREATE ROLE {granted}; CREATE ROLE {unknown}; CREATE SCHEMA moved;"
    servers.run_script(written[0], f"{make} SELECT lo_from_bytea(4713, 'moved'); {privileges}")
    filled(written[1], prefix)
    servers.run_script(written[1], f"CREATE ROLE {granted}")
    before = contents(written[1])
    report, _ = failed(written, tmp_path, "SELECT 1", error=SchemaError)
    assert report.restored, report.text()
    assert contents(written[1]) == before
