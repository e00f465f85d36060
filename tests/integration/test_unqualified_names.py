"""Functions that name objects without a schema, called by what a run evaluates over rows.

Under the empty search_path of a run they find nothing. What a run does then is done under the
source database's search_path, and said; what is missing for good fails by its first error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair
from pgmigrate import Migration, Options, Report
from support import servers

# Each calls a function that names a function, a relation or a type of the schema without it.
_FUNCTIONS: Final = {
    "sql": """
        CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT helper($1)';
        CREATE FUNCTION seen(text) RETURNS bool LANGUAGE sql IMMUTABLE
            AS 'SELECT count(*) >= 0 FROM seen_before WHERE v = $1';
        CREATE FUNCTION typed(text) RETURNS text LANGUAGE sql IMMUTABLE
            AS 'SELECT (CAST($1 AS short))::text';
    """,
    "plpgsql": """
        CREATE FUNCTION norm(text) RETURNS text LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN helper($1); END';
        CREATE FUNCTION seen(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN (SELECT count(*) >= 0 FROM seen_before WHERE v = $1); END';
        CREATE FUNCTION typed(text) RETURNS text LANGUAGE plpgsql IMMUTABLE
            AS 'DECLARE s short; BEGIN s := $1; RETURN s; END';
    """,
}
_BELOW: Final = """
CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE TABLE seen_before (v text);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 99);
"""
_ROWS: Final = "INSERT INTO {} (v) SELECT 'Value ' || i FROM generate_series(1, 50) AS i;"
_LARGE: Final = """
INSERT INTO frozen (v) SELECT i || repeat('x', 90) FROM generate_series(1, 20000) AS i;
ANALYZE frozen;
"""

# By the object that the finding names.
_BY_ROWS: Final = {
    "checked": "CREATE TABLE checked (v text CHECK (norm(v) <> 'x'));",
    "seen_by": "CREATE TABLE seen_by (v text CHECK (seen(v)));",
    "of_type": "CREATE TABLE of_type (v text CHECK (typed(v) <> 'x'));",
    "generated": "CREATE TABLE generated (v text, n text GENERATED ALWAYS AS (norm(v)) STORED);",
    "of_domain": "CREATE DOMAIN normal AS text CHECK (norm(VALUE) <> 'x');"
    "CREATE TABLE of_domain (v normal);",
    "parted": "CREATE TABLE parted (v text) PARTITION BY HASH (norm(v));"
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);",
    "frozen": "CREATE TABLE frozen (v text CHECK (norm(v) <> 'x'));",
}
# A CHECK that stands behind the rows, for its function depends on the table.
_BEHIND: Final = """
CREATE TABLE behind (v text);
CREATE FUNCTION of_row(behind) RETURNS text LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RETURN helper($1.v); END';
ALTER TABLE behind ADD CONSTRAINT behind_row CHECK (of_row(behind) <> 'x');
"""
# Before 17 these look names up by the search_path of the session.
_BY_MAINTENANCE: Final = """
CREATE TABLE indexed (v text);
INSERT INTO indexed SELECT 'Value ' || i FROM generate_series(1, 50) AS i;
CREATE INDEX indexed_norm ON indexed (norm(v));
CREATE UNIQUE INDEX indexed_unique ON indexed (norm(v));
ALTER TABLE indexed ADD CONSTRAINT indexed_excluded EXCLUDE USING btree (norm(v) WITH =);
CREATE MATERIALIZED VIEW filled AS SELECT norm(v) AS n FROM indexed;
CREATE UNIQUE INDEX filled_norm ON filled (norm(n));
CREATE TABLE cut (id int PRIMARY KEY, v text);
INSERT INTO cut SELECT i, 'Value ' || i FROM generate_series(1, 20000) AS i;
CREATE INDEX cut_norm ON cut (norm(v));
ANALYZE cut;
"""


def _fill(conninfo: str, language: str, schema: str, more: str) -> None:
    script = f"CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema};"
    script += _BELOW + _FUNCTIONS[language] + "".join(_BY_ROWS.values()) + _BEHIND
    script += "".join(_ROWS.format(table) for table in [*_BY_ROWS, "behind"] if table != "frozen")
    servers.run_script(conninfo, script + more)
    if schema != "public":
        name = conninfo_to_dict(conninfo)["dbname"]
        servers.run_script(conninfo, f'ALTER DATABASE "{name}" SET search_path = {schema}, public')


def _found(report: Report) -> dict[str, Any]:
    return {one.object: one for one in report.findings if one.check == "unqualified_name"}


def _rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.case("L12")
@pytest.mark.parametrize(
    ("majors", "language", "schema"),
    [((16, 16), "sql", "public"), ((16, 16), "plpgsql", "app"), ((16, 18), "sql", "app")],
    ids=["sql", "plpgsql", "sql on a newer target"],
)
def test_what_names_nothing_under_an_empty_path_is_done_under_the_sources(
    make_pair: Callable[[int, int], Pair], majors: tuple[int, int], language: str, schema: str
) -> None:
    pair = make_pair(*majors)
    source, target = pair.source(), pair.target()
    _fill(source, language, schema, _LARGE + (_BY_MAINTENANCE if majors[1] < 17 else ""))
    migration = Migration(source=source, target=target, roles="none", split_larger_than="256kB")
    report = migration.run(verify=True)
    assert report.ok, report.text()
    assert report.verification is not None and report.verification.equal, report.text()
    found = _found(report)
    names = {"parted_1" if name == "parted" else name for name in _BY_ROWS}
    expected = {f"{schema}.{name}" for name in names}
    if majors[1] < 17:
        expected |= {f"{schema}.{name}" for name in ("indexed_norm", "indexed_unique", "filled")}
    missing = expected - set(found)
    assert not missing, (missing, sorted(found))
    path = '"$user", public' if schema == "public" else "app, public"
    for one in found.values():
        assert "does not exist" in one.message and path in one.message, one
        assert "ALTER FUNCTION" in one.remedy and f"SET search_path = {path}" in one.remedy, one
        assert "alue" not in one.message + one.remedy, one
    function = "norm" if language == "sql" else f"{schema}.norm(text)"
    assert f"function {function} names it without" in found[f"{schema}.checked"].message
    assert "function helper(text)" in found[f"{schema}.checked"].message
    assert 'relation "seen_before"' in found[f"{schema}.seen_by"].message
    assert 'type "short"' in found[f"{schema}.of_type"].message
    for table in [*_BY_ROWS, "behind"]:
        query = f"SELECT * FROM {schema}.{table} ORDER BY v"
        assert _rows(target, query) == _rows(source, query)
    # Nothing of the path is left behind.
    ((left,),) = _rows(target, "SELECT count(*) FROM pg_class WHERE relname LIKE 'pgmigrate_%'")
    assert left == 0


@pytest.mark.case("L12")
def test_a_run_that_goes_on_does_the_same(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    _fill(source, "plpgsql", "public", "")
    migration = Migration(source=source, target=target, roles="none", retries=0)
    plan = migration.plan()
    migration.run_tasks(plan, plan.ids("roles", "pre-data")).raise_for_failures()
    report = migration.run(resume=True, verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    assert "public.checked" in _found(report)


@pytest.mark.case("L12")
@pytest.mark.parametrize("language", sorted(_FUNCTIONS))
def test_what_is_missing_for_good_fails_by_its_first_error(pair: Pair, language: str) -> None:
    source, target = pair.source(), pair.target()
    _fill(source, language, "public", "DROP FUNCTION helper(text)")
    report = Migration(source=source, target=target, roles="none", retries=0).run()
    failed = {one.object: one for one in report.tasks if one.status == "failed"}
    assert failed["public.checked"].sqlstate == "42883"
    assert "function helper(text) does not exist" in failed["public.checked"].note
    assert "ALTER FUNCTION" in failed["public.checked"].note
    done = {one.object for one in report.tasks if one.status == "done" and one.phase == "data"}
    assert {"public.seen_by", "public.of_type"} <= done
    assert not {"public.checked", "public.generated"} & set(_found(report))


@pytest.mark.case("L12")
def test_an_index_that_newer_servers_build_under_their_own_path_says_what_to_do(
    pair: Pair,
) -> None:
    source, target = pair.source(), pair.target()
    _fill(source, "plpgsql", "public", _BY_MAINTENANCE)
    migration = Migration(source=source, target=target, roles="none")
    report = migration.run()
    failed = {one.object: one for one in report.tasks if one.status == "failed"}
    assert {"public.indexed_norm", "public.indexed_unique"} <= set(failed)
    note = failed["public.indexed_norm"].note
    assert 'ALTER FUNCTION public.norm(text) SET search_path = "$user", public' in note
    for conninfo in (source, target):
        servers.run_script(conninfo, "ALTER FUNCTION norm(text) SET search_path = public")
    report = migration.run(resume=True, verify=True)
    assert report.ok and report.verification is not None and report.verification.equal


@pytest.mark.case("L12")
def test_rows_that_the_target_merges(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    script = _BELOW + _FUNCTIONS["sql"]
    script += "CREATE TABLE t (v text PRIMARY KEY CHECK (norm(v) <> 'x'), n text DEFAULT 'n');"
    servers.run_script(source, script + _ROWS.format("t"))
    servers.run_script(target, script + "INSERT INTO t VALUES ('Value 1')")
    report = Migration(source=source, target=target, data_only=True).run(verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    assert set(_found(report)) == {"public.t"}
    assert _rows(target, "SELECT count(*) FROM t") == [(50,)]


@pytest.mark.case("L12")
@pytest.mark.parametrize("mode", ["truncate", "append"])
def test_a_target_whose_tables_have_such_indexes_is_filled_again(
    make_pair: Callable[[int, int], Pair], mode: Literal["append", "truncate"]
) -> None:
    pair = make_pair(16, 16)
    source, target = pair.source(), pair.target()
    script = _BELOW + _FUNCTIONS["sql"]
    script += "CREATE TABLE t (v text); CREATE INDEX t_norm ON t (norm(v));"
    servers.run_script(source, script + _ROWS.format("t"))
    servers.run_script(
        target, script + ("INSERT INTO t VALUES ('old')" if mode == "truncate" else "")
    )
    options: Options = {"data_only": True, "on_existing": mode}
    report = Migration(source=source, target=target, options=options).run(verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    assert _rows(target, "SELECT count(*) FROM t") == [(50,)]


@pytest.mark.case("L12")
def test_a_target_without_the_sources_path_is_filled_under_it(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(16, 16)
    source, target = pair.source(), pair.target()
    script = "CREATE SCHEMA app; SET search_path = app;" + _BELOW + _FUNCTIONS["sql"]
    script += "CREATE TABLE t (i int PRIMARY KEY, v text); CREATE INDEX t_norm ON t (norm(v));"
    path = "SELECT format('ALTER DATABASE %I SET search_path = app', current_database()) \\gexec\n"
    servers.run_script(
        source, script + path + "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 50) AS i"
    )
    servers.run_script(target, script + "INSERT INTO t VALUES (1, 'v')")
    migration = Migration(source=source, target=target, options={"data_only": True})
    assert [f.check for f in migration.preflight().findings if f.severity == "blocking"] == []
    report = migration.run(verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    by_path = make_conninfo(target, options="-c search_path=app")
    assert _rows(by_path, "SELECT count(*) FROM app.t") == [(50,)]


@pytest.mark.case("L12")
def test_values_that_name_objects_keep_their_schemas(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(16, 16)
    source, target = pair.source(), pair.target()
    name = conninfo_to_dict(source)["dbname"]
    servers.run_script(
        source,
        "CREATE SCHEMA app; SET search_path = app;"
        + _BELOW
        + _FUNCTIONS["sql"]
        + f"""
        CREATE TABLE t (a int); CREATE INDEX t_a_idx ON t (a);
        CREATE TABLE named (r regclass, v text CHECK (norm(v) <> 'x'));
        INSERT INTO named VALUES ('t_a_idx', 'Value'), ('pg_class', 'other');
        ALTER DATABASE "{name}" SET search_path = app, public;
        """,
    )
    # What the name means on the target where its schema is lost.
    servers.run_script(target, "CREATE TABLE u (a int); CREATE INDEX t_a_idx ON u (a);")
    report = Migration(source=source, target=target).run(verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    assert "app.named" in _found(report)
    query = """
        SELECT c.relnamespace::regnamespace::text, c.relname::text
        FROM app.named JOIN pg_class c ON c.oid = r ORDER BY 1
    """
    assert _rows(target, query) == [("app", "t_a_idx"), ("pg_catalog", "pg_class")]


@pytest.mark.case("L12")
def test_foreign_keys_that_were_dropped_come_back(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(16, 16)
    source, target = pair.source(), pair.target()
    script = _BELOW + _FUNCTIONS["sql"]
    script += """
        CREATE TABLE parent (id int PRIMARY KEY, v text);
        CREATE INDEX parent_norm ON parent (norm(v));
        CREATE TABLE child (id int REFERENCES parent, v text);
        CREATE INDEX child_norm ON child (norm(v));
    """
    servers.run_script(
        source, script + "INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (1, 'b');"
    )
    servers.run_script(target, script)
    options: Options = {"data_only": True, "target_foreign_keys": "drop"}
    report = Migration(source=source, target=target, options=options).run(verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    query = "SELECT convalidated FROM pg_constraint WHERE conrelid = 'child'::regclass"
    assert _rows(target, query) == [(True,)]
