"""Merging identifies rows by one key: a clash on anything else fails by name and is counted."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Pair
from pgmigrate import Migration, PreflightError, Report
from support import servers

# The table on both sides; what the target holds besides; the constraint that the two new rows of
# the source clash on.
CLASHES = {
    "unique constraint": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text UNIQUE)",
        "INSERT INTO s.t VALUES (90, 'v1'), (91, 'v2')",
        "t_v_key",
    ),
    "primary key, rows are known by a unique key first in order": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text NOT NULL, CONSTRAINT a UNIQUE (v))",
        "INSERT INTO s.t VALUES (90, 'v1'), (91, 'v2')",
        "a",
    ),
    "unique index over an expression": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text);"
        "CREATE UNIQUE INDEX low ON s.t (lower(v), (id > 0))",
        "INSERT INTO s.t VALUES (90, 'V1'), (91, 'V2')",
        "low",
    ),
    "partial unique index": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text);"
        "CREATE UNIQUE INDEX part ON s.t (v) WHERE v <> 'free'",
        "INSERT INTO s.t VALUES (90, 'v1'), (91, 'v2'), (92, 'free')",
        "part",
    ),
    "include": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text, w int, UNIQUE (v) INCLUDE (w))",
        "INSERT INTO s.t VALUES (90, 'v1', 1), (91, 'v2', 2)",
        "t_v_w_key",
    ),
    "deferrable, checked at the end of the statement": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text UNIQUE DEFERRABLE)",
        "INSERT INTO s.t VALUES (90, 'v1'), (91, 'v2')",
        "t_v_key",
    ),
    "deferred to the commit": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO s.t VALUES (90, 'v1'), (91, 'v2')",
        "t_v_key",
    ),
    "exclusion constraint": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text, r int4range DEFAULT 'empty',"
        " EXCLUDE USING gist (r WITH &&))",
        "INSERT INTO s.t VALUES (90, 'x', '[1,1000)')",
        "t_r_excl",
    ),
    "generated column": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text,"
        " g text GENERATED ALWAYS AS (upper(v)) STORED UNIQUE)",
        "INSERT INTO s.t VALUES (90, 'V1'), (91, 'v2')",
        "t_g_key",
    ),
    "identity always": (
        "CREATE TABLE s.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text UNIQUE)",
        "INSERT INTO s.t OVERRIDING SYSTEM VALUE VALUES (90, 'v1'), (91, 'v2')",
        "t_v_key",
    ),
    "partitioned": (
        "CREATE TABLE s.t (id int, v text, PRIMARY KEY (id)) PARTITION BY HASH (id);"
        "CREATE TABLE s.t0 PARTITION OF s.t FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "CREATE UNIQUE INDEX leaf ON s.t0 (v)",
        "INSERT INTO s.t VALUES (90, 'v1'), (91, 'v2')",
        "leaf",
    ),
}
FROM_15 = {
    "nulls not distinct": (
        "CREATE TABLE s.t (id int PRIMARY KEY, v text, w int, UNIQUE NULLS NOT DISTINCT (v, w))",
        "INSERT INTO s.t VALUES (90, 'v1', NULL), (91, 'v2', NULL)",
        "t_v_w_key",
    ),
}
FROM_18 = {
    "without overlaps": (
        "CREATE EXTENSION btree_gist SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, v text,"
        " r int4range NOT NULL DEFAULT '[1,2)', UNIQUE (v, r WITHOUT OVERLAPS))",
        "INSERT INTO s.t VALUES (90, 'v1', '[1,5)'), (91, 'v2', '[0,2)')",
        "t_v_r_key",
    ),
}
ALL = {**CLASHES, **FROM_15}


def _run(source: str, target: str, **options: Any) -> Report:
    return Migration(source=source, target=target, roles="none", **options).run()


def _rows_of(conninfo: str) -> list[Any]:
    return servers.fetch(conninfo, "SELECT id, v FROM s.t ORDER BY 1")


def _failed(report: Report) -> tuple[str, str]:
    [task] = [task for task in report.failed if task.kind == "data"]
    return task.sqlstate, task.note


def _both(pair: Pair, table: str) -> tuple[str, str]:
    source, target = pair.source(), pair.target()
    for end in (source, target):
        servers.run_script(end, f"CREATE SCHEMA s; {table};")
    return source, target


def _clash(pair: Pair, case: tuple[str, str, str]) -> None:
    table, held, constraint = case
    source, target = _both(pair, table)
    over = "OVERRIDING SYSTEM VALUE" if "IDENTITY" in table else ""
    rows = "INSERT INTO s.t (id, v) {} SELECT i, 'v' || i FROM generate_series({}, {}) i"
    servers.run_script(source, rows.format(over, 1, 20))
    servers.run_script(target, rows.format(over, 11, 20))
    is_excluded = "EXCLUDE" in table
    if is_excluded:
        servers.run_script(
            source, "UPDATE s.t SET r = int4range(id * 10, id * 10 + 1) WHERE id < 3"
        )
    servers.run_script(target, held)
    before = _rows_of(target)
    for mode in ("auto", "update"):
        sqlstate, note = _failed(_run(source, target, on_conflict=mode))
        servers.run_script(target, "DROP SCHEMA pgmigrate CASCADE")
        assert sqlstate == ("23P01" if constraint in ("t_r_excl", "t_v_r_key") else "23505")
        assert f"2 rows clash on {constraint}" in note and "v1" not in note, note
        assert _rows_of(target) == before, "nothing is done by halves"
    servers.run_script(target, "DELETE FROM s.t WHERE id >= 90")
    report = _run(source, target)
    report.raise_for_failures()
    assert _rows_of(target) == _rows_of(source)
    [task] = [task for task in report.tasks if task.kind == "data" and task.rows]
    assert task.rows == 10 and "10 rows whose key the target had were kept" in task.note


@pytest.mark.case("S5")
@pytest.mark.parametrize("kind", ALL)
def test_a_clash_on_another_constraint_fails_and_is_counted(pair: Pair, kind: str) -> None:
    _clash(pair, ALL[kind])


@pytest.mark.case("S5")
@pytest.mark.parametrize("kind", FROM_18)
def test_a_clash_on_what_18_knows(make_pair: Any, kind: str) -> None:
    pair = make_pair(18, 18)
    known = "SELECT count(*) FROM pg_available_extensions WHERE name = 'btree_gist'"
    if servers.fetch(pair.target("_known"), known) == [(0,)]:
        pytest.skip("this build of 18 has no btree_gist")
    _clash(pair, FROM_18[kind])


@pytest.mark.case("S5")
def test_rows_of_the_source_that_clash_with_each_other(pair: Pair) -> None:
    """The target is stricter than the source."""
    source, target = _both(pair, "CREATE TABLE s.t (id int PRIMARY KEY, v text)")
    servers.run_script(target, "CREATE UNIQUE INDEX strict ON s.t (v)")
    servers.run_script(source, "INSERT INTO s.t VALUES (1, 'a'), (2, 'a'), (3, 'b')")
    servers.run_script(target, "INSERT INTO s.t VALUES (9, 'z')")
    sqlstate, note = _failed(_run(source, target))
    assert sqlstate == "23505" and "2 rows clash on strict" in note


@pytest.mark.case("S5")
@pytest.mark.skipif(15 not in servers.available_majors(), reason="15 has ICU, and citext")
def test_a_key_that_is_coarser_on_the_target_loses_no_row_in_silence(make_pair: Any) -> None:
    """Two keys of the source are one on the target, whose collation or type ignores case."""
    pair = make_pair(15, 15)
    source, target = pair.filled("CREATE SCHEMA s; CREATE TABLE s.t (id text PRIMARY KEY, v int)")
    servers.run_script(
        target,
        "CREATE SCHEMA s; CREATE COLLATION s.ci (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false); CREATE TABLE s.t (id text COLLATE s.ci PRIMARY KEY, v int);"
        "INSERT INTO s.t VALUES ('z', 0)",
    )
    servers.run_script(source, "INSERT INTO s.t VALUES ('a', 1), ('A', 2), ('Z', 3)")
    _, note = _failed(_run(source, target))
    assert "2 rows were sent and 1 stored" in note
    servers.run_script(source, "DELETE FROM s.t WHERE id = 'A'")
    servers.run_script(target, "DROP SCHEMA pgmigrate CASCADE")
    _run(source, target).raise_for_failures()
    assert servers.rows(target, "s", "t") == [("a", "1"), ("z", "0")]


@pytest.mark.case("S5")
@pytest.mark.skipif(15 not in servers.available_majors(), reason="15 has ICU, and citext")
def test_rows_are_known_by_a_key_of_an_extension_s_type(make_pair: Any) -> None:
    pair = make_pair(15, 15)
    table = (
        "CREATE EXTENSION citext SCHEMA s;CREATE TABLE s.t (id s.citext PRIMARY KEY, v text UNIQUE)"
    )
    source, target = _both(pair, table)
    servers.run_script(source, "INSERT INTO s.t VALUES ('a', 'x'), ('b', 'y'), ('c', 'z')")
    servers.run_script(target, "INSERT INTO s.t VALUES ('A', 'mine'), ('q', 'y')")
    assert "1 row clashes on t_v_key" in _failed(_run(source, target))[1]
    servers.run_script(target, "DROP SCHEMA pgmigrate CASCADE; DELETE FROM s.t WHERE id = 'q'")
    _run(source, target).raise_for_failures()
    assert servers.rows(target, "s", "t") == [("A", "mine"), ("b", "y"), ("c", "z")]


@pytest.mark.case("S5")
def test_without_the_key_s_index_on_the_target_rows_are_known_all_the_same(pair: Pair) -> None:
    """Rows of inheriting tables are no rows of the table."""
    source = pair.source()
    servers.run_script(source, "CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, v text)")
    servers.run_script(source, "INSERT INTO s.t SELECT i, 'v' FROM generate_series(1, 5) i")
    target = pair.target()
    servers.run_script(
        target, "CREATE SCHEMA s; CREATE TABLE s.t (id int NOT NULL, v text);"
        "CREATE TABLE s.child () INHERITS (s.t); INSERT INTO s.child VALUES (4, 'child');"
        "INSERT INTO s.t VALUES (1, 'mine'), (2, 'mine')",
    )  # fmt: skip
    _run(source, target, tables=["s.t"]).raise_for_failures()
    found = servers.fetch(target, "SELECT id, v FROM ONLY s.t ORDER BY 1")
    assert found == [(1, "mine"), (2, "mine"), (3, "v"), (4, "v"), (5, "v")]


RULES = """
CREATE SCHEMA s;
CREATE TABLE s.r (id int PRIMARY KEY, v text);
INSERT INTO s.r SELECT i, repeat('v', 1900) FROM generate_series(1, 500) i;
CREATE TABLE s.log (id int);
CREATE RULE also AS ON INSERT TO s.r DO ALSO INSERT INTO s.log VALUES (NEW.id);
CREATE TABLE s.dis (id int PRIMARY KEY, v text);
INSERT INTO s.dis SELECT i, 'v' FROM generate_series(1, 50) i;
CREATE RULE keep AS ON UPDATE TO s.dis DO INSTEAD NOTHING;
CREATE TABLE s.away (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
INSERT INTO s.away (v) SELECT 'v' FROM generate_series(1, 50);
CREATE RULE away AS ON INSERT TO s.away DO INSTEAD NOTHING;
"""


def test_input_23_rows_are_merged_into_tables_with_rules(pair: Pair) -> None:
    """As in the first run, rules do not apply to the rows; nothing is refused, lost or doubled."""
    source, target = pair.filled(RULES)
    _run(source, target).raise_for_failures()
    for table in ("r", "dis", "away"):
        servers.run_script(target, f"DELETE FROM s.{table} WHERE id > 40")
    report = _run(source, target)
    report.raise_for_failures()
    reported = {f.object: f.message for f in report.findings if f.check == "rules"}
    assert set(reported) == {"s.r", "s.dis", "s.away"} and "also" in reported["s.r"]
    for table in ("r", "dis", "away", "log"):
        assert servers.rows(target, "s", table) == servers.rows(source, "s", table)


def test_input_23_an_update_that_rules_forbid_is_found_before_the_run(pair: Pair) -> None:
    source, target = pair.filled(RULES)
    _run(source, target).raise_for_failures()
    with pytest.raises(PreflightError) as caught:
        _run(source, target, on_conflict="update")
    found = {f.object: f.remedy for f in caught.value.findings if f.check == "rules"}
    assert set(found) == {"s.r", "s.dis", "s.away"}
    assert all("on_conflict to nothing" in remedy for remedy in found.values())
