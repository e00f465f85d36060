"""L8: rows that name objects made behind them, and materialized views that have changed."""

from __future__ import annotations

import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.roles import prefixed

REGCLASS = """
CREATE SCHEMA "App"; CREATE TABLE "App"."T x" (id int PRIMARY KEY, v text UNIQUE);
INSERT INTO "App"."T x" SELECT i, i::text FROM generate_series(1, 100) i;
CREATE INDEX "ix V" ON "App"."T x" (v);
CREATE VIEW "App".vv AS SELECT id, v FROM "App"."T x" GROUP BY id;
CREATE DOMAIN relname AS regclass; CREATE TYPE pairr AS (r regclass, n int);
CREATE TABLE audit (id int PRIMARY KEY, rel {type});
INSERT INTO audit VALUES (1, {value}), (2, NULL);
CREATE TABLE another (rel regclass PRIMARY KEY); INSERT INTO another VALUES ('public.audit_pkey');
"""
NAMES = ['"App"."ix V"', '"App"."T x_pkey"', '"App"."T x_v_key"', '"App".vv', "public.audit_pkey"]
KINDS = {
    **{f"regclass {name}": ("regclass", f"'{name}'") for name in NAMES},
    "array": ("regclass[]", """ARRAY['pg_class', '"App"."ix V"']::regclass[]"""),
    "domain": ("relname", """'"App"."ix V"'"""),
    "composite": ("pairr[]", """ARRAY[ROW('"App"."ix V"', 1)::pairr]"""),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "audit_pkey" not in kind])
def test_input_22_rows_that_name_objects_wait_for_them(pair: Pair, kind: str) -> None:
    source, target = pair.source(), pair.target()
    type_, value = KINDS[kind]
    script = REGCLASS.format(type=type_, value=value)
    servers.run_script(source, script)
    report = Migration(source=source, target=target, roles="none", verify=True).run(jobs=2)
    report.raise_for_failures()
    assert report.verification is not None and report.verification.verdict == "equal"
    servers.assert_equal(source, target)


def test_input_22_a_row_that_names_the_index_of_its_own_table_fails_and_nothing_hangs(
    pair: Pair,
) -> None:
    """No order has it: the index is made of the row."""
    source, target = pair.source(), pair.target()
    type_, value = KINDS["regclass public.audit_pkey"]
    servers.run_script(source, REGCLASS.format(type=type_, value=value))
    migration = Migration(source=source, target=target, roles="none")
    report = migration.run(jobs=2)
    failed = {task.object for task in report.failed if task.status == "failed"}
    assert failed == {"public.audit", "public.another"}
    assert servers.fetch(target, 'SELECT count(*) FROM "App"."T x"') == [(100,)]


@pytest.mark.parametrize("function", [False, True])
def test_input_28_a_view_of_a_role_that_row_security_filters_is_filled_as_by_it(
    pair: Pair, function: bool
) -> None:
    """Directly, or through a view of the same role."""
    with prefixed(pair) as prefix:
        source, target = pair.source(), pair.target()
        a, b = f"{prefix}a", f"{prefix}b"
        through = "CREATE VIEW between AS SELECT id FROM bt;" if function else ""
        script = f"""
            CREATE ROLE {a}; CREATE ROLE {b}; GRANT CREATE ON SCHEMA public TO {a}, {b};
            SET ROLE {b}; CREATE TABLE bt (id int PRIMARY KEY, v text);
            INSERT INTO bt SELECT g, 'v' FROM generate_series(1, 50) g; GRANT SELECT ON bt TO {a};
            ALTER TABLE bt ENABLE ROW LEVEL SECURITY;
            CREATE POLICY p ON bt TO {a} USING (id % 2 = 0); RESET ROLE; SET ROLE {a}; {through}
            CREATE MATERIALIZED VIEW am AS SELECT id FROM {"between" if function else "bt"};
            CREATE UNIQUE INDEX ON am (id);
        """
        servers.run_script(source, script)
        Migration(source=source, target=target).run().raise_for_failures()
        assert len(servers.rows(target, "public", "am")) == 25
        servers.assert_equal(source, target)


@pytest.mark.case("L8")
def test_an_index_that_a_stale_view_hid_fails_by_name_with_the_reason(pair: Pair) -> None:
    source, target = pair.filled(
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1);"
        "CREATE MATERIALIZED VIEW m AS SELECT a FROM t; CREATE UNIQUE INDEX m_a ON m (a);"
        "INSERT INTO t VALUES (1)",
    )
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    (index,) = [task for task in plan if task.kind == "index" and task.name == "m_a"]
    assert "filled again" in index.note
    report = migration.run(plan)
    assert [(task.kind, task.status) for task in report.failed] == [("index", "failed")]
    assert servers.fetch(target, "SELECT count(*) FROM m") == [(2,)]
    servers.run_script(target, "DELETE FROM t WHERE ctid = '(0,2)'")
    servers.run_script(target, "REFRESH MATERIALIZED VIEW m")
    migration.run(plan, resume=True).raise_for_failures()
