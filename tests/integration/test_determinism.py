"""The same source and configuration give the same target, with any number of jobs, on every run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair
from pgmigrate import Migration, Report
from support import dumps, servers
from support.delay import delayed
from support.parts import wait_for

JOBS = (1, 2, 8)
SCHEMAS = sorted(path.stem for path in servers.SCHEMAS.glob("*.sql"))


def run(source: str, target: str, jobs: int = 2, **keys: Any) -> Report:
    return Migration(source=source, target=target, **keys).run(jobs=jobs)


def state(target: str) -> tuple[str, dict[tuple[str, str], list[servers.Row]], object]:
    """Schema, rows and sequences of a database, without the ledger."""
    ignored = ["pgmigrate"]
    rows = {name: servers.rows(target, *name) for name in servers.tables(target, ignored)}
    return dumps.schema(target, ignored), rows, servers.sequences(target, ignored)


def compare(pair: Pair, source: str, times: int, *, jobs: tuple[int, ...] = JOBS) -> str:
    """Runs with each number of jobs so many times; the targets are equal. The first of them."""
    first, expected = "", None
    for number, at in itertools.product(jobs, range(times)):
        target = pair.target(f"_{number}_{at}")
        run(source, target, number).raise_for_failures()
        found = state(target)
        if expected is None:
            first, expected = target, found
        assert found == expected, f"run {at} with {number} jobs"
    return first


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_number_of_jobs_gives_the_same_target(pair: Pair, schema: str) -> None:
    compare(pair, pair.source(schema, **_variables(schema)), 1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_ten_runs_with_every_number_of_jobs_give_the_same_target(pair: Pair, schema: str) -> None:
    compare(pair, pair.source(schema, **_variables(schema)), 10)


def _variables(schema: str) -> dict[str, str]:
    return {"has_xml": "off"} if schema == "odd_types" else {}


# What the archive does not name: a mapping's server, an operator's commutator and negator.
UNNAMED = """
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER zz_archive FOREIGN DATA WRAPPER nothing;
CREATE USER MAPPING FOR postgres SERVER zz_archive;
CREATE USER MAPPING FOR PUBLIC SERVER zz_archive;
CREATE TYPE v AS (a int);
CREATE FUNCTION fb(v, v) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.a < $2.a';
DO $$ DECLARE o text; BEGIN
    FOREACH o IN ARRAY ARRAY['@@<@', '@@>@', '@@*@', '@@/@', '@@#@', '@@%@'] LOOP
        EXECUTE format('CREATE OPERATOR %s (leftarg = v, rightarg = v, function = fb,
            commutator = OPERATOR(public.%s&), negator = OPERATOR(public.%s|))', o, o, o);
        EXECUTE format('CREATE OPERATOR %s& (leftarg = v, rightarg = v, function = fb,
            commutator = OPERATOR(public.%s), negator = OPERATOR(public.%s~))', o, o, o);
        EXECUTE format('CREATE OPERATOR %s| (leftarg = v, rightarg = v, function = fb,
            commutator = OPERATOR(public.%s~), negator = OPERATOR(public.%s))', o, o, o);
    END LOOP;
END $$;
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
"""


@pytest.mark.case("P1", "P2")
def test_what_the_archive_does_not_name_is_made_in_its_order(pair: Pair) -> None:
    source = pair.source()
    servers.run_script(source, UNNAMED)
    target = compare(pair, source, 2, jobs=(2, 8))
    servers.assert_equal(source, target)
    assert servers.fetch(target, "SELECT count(*) FROM pg_user_mappings") == [(2,)]


@pytest.mark.case("P3")
def test_generated_names_are_the_same_on_every_run(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 18)
    source = pair.source()
    servers.run_script(
        source,
        """
        CREATE TABLE orders (id int PRIMARY KEY, placed date NOT NULL, v text NOT NULL);
        CREATE TABLE archive_orders (LIKE orders INCLUDING ALL);
        CREATE TABLE copy_of (LIKE orders);
        CREATE TABLE jobs (id int NOT NULL);
        ALTER TABLE jobs RENAME TO jobs_old;
        CREATE TABLE jobs (id int NOT NULL);
        """,
    )
    target = compare(pair, source, 2, jobs=(1, 8))
    restored = pair.target("_restored")
    servers.run_script(restored, dumps.dump(source, ()))
    query = """
        SELECT conrelid::regclass::text, conname FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
    """
    assert servers.fetch(target, query) == servers.fetch(restored, query)


ROW_SECURITY = """
CREATE SCHEMA s;
CREATE TABLE s.tenant (id int PRIMARY KEY);
INSERT INTO s.tenant SELECT generate_series(1, 5);
CREATE TABLE s.orders (id int PRIMARY KEY, tenant int NOT NULL REFERENCES s.tenant);
INSERT INTO s.orders SELECT g, 1 + g % 5 FROM generate_series(1, 200) g;
CREATE TABLE s.lines (id int PRIMARY KEY, o int NOT NULL REFERENCES s.orders);
INSERT INTO s.lines SELECT g, 1 + g % 200 FROM generate_series(1, 500) g;
ALTER TABLE s.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE s.lines ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON s.orders USING (tenant = current_setting('app.tenant')::int);
CREATE POLICY p ON s.lines USING (o = current_setting('app.tenant')::int);
"""


@pytest.mark.case("P4")
@pytest.mark.parametrize("jobs", [2, 8])
def test_row_security_comes_behind_the_checks_of_foreign_keys(pair: Pair, jobs: int) -> None:
    source, target = pair.filled(ROW_SECURITY)
    role = f"{pair.name}_owner"[-50:]
    servers.run_script(target, f"CREATE ROLE {role} LOGIN PASSWORD 'x' NOSUPERUSER")
    try:
        name = conninfo_to_dict(target)["dbname"]
        servers.run_script(target, f'ALTER DATABASE "{name}" OWNER TO {role}')
        as_owner = make_conninfo(target, user=role, password="x")
        report = run(source, as_owner, jobs, roles="none")
        assert [task.object for task in report.failed] == []
        valid = servers.fetch(
            target,
            "SELECT FROM pg_constraint WHERE contype = 'f' AND convalidated"
            " AND connamespace = 's'::regnamespace",
        )
        assert len(valid) == 2
        secured = "SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
        assert servers.fetch(target, secured) == [(2,)]
    finally:
        servers.run_script(target, f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}")
        servers.run_script(target, f"DROP ROLE {role}")


# Each reads zz_kinds, which is larger and comes later by name, in a way of its own.
READERS = """
CREATE TABLE zz_kinds (kind int PRIMARY KEY, pad text);
INSERT INTO zz_kinds SELECT g, repeat('y', 300) FROM generate_series(1, 3000) g;
CREATE FUNCTION known(int) RETURNS boolean LANGUAGE sql STABLE SET search_path = public
    AS 'SELECT EXISTS (SELECT FROM zz_kinds WHERE kind = $1)';
CREATE FUNCTION known_too(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = public
    AS 'BEGIN PERFORM 1 FROM zz_kinds WHERE kind = $1; RETURN found; END';
CREATE FUNCTION pad_of(int) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = public
    AS 'DECLARE p text;
        BEGIN SELECT pad INTO STRICT p FROM zz_kinds WHERE kind = $1; RETURN p; END';
CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.known($1)';
CREATE OPERATOR === (leftarg = int, rightarg = int, function = same);
CREATE DOMAIN kind AS int CHECK (known(VALUE));
CREATE TYPE pair AS (k kind);
CREATE FUNCTION as_pair(int) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::public.pair';
CREATE TABLE by_check (k int CHECK (known(k)));
CREATE TABLE by_domain (k kind);
CREATE TABLE by_array (k kind[]);
CREATE TABLE by_type (p pair);
CREATE TABLE by_operator (k int CHECK (k === 1));
CREATE TABLE by_generated (k int, p text GENERATED ALWAYS AS (pad_of(k)) STORED);
CREATE TABLE by_index (k int);
CREATE INDEX ON by_index (pad_of(k));
CREATE INDEX ON by_index (k) WHERE known_too(k);
CREATE VIEW seen AS SELECT k, pad_of(k) FROM by_index;
CREATE MATERIALIZED VIEW by_view AS SELECT * FROM seen WITH NO DATA;
-- Its rows need those of another table that is late, too.
CREATE FUNCTION has_domain(int) RETURNS boolean LANGUAGE sql STABLE SET search_path = public
    AS 'SELECT EXISTS (SELECT FROM by_domain WHERE k = $1)';
CREATE TABLE aa_behind (k int CHECK (has_domain(k)), pad text);
INSERT INTO by_check SELECT 1 + g % 3000 FROM generate_series(1, 400) g;
INSERT INTO by_domain SELECT k FROM by_check;
INSERT INTO by_array SELECT ARRAY[k]::kind[] FROM by_check;
INSERT INTO by_type SELECT ROW(k)::pair FROM by_check;
INSERT INTO by_operator SELECT k FROM by_check;
INSERT INTO by_generated SELECT k FROM by_check;
INSERT INTO by_index SELECT k FROM by_check;
INSERT INTO aa_behind SELECT k, repeat('z', 500) FROM by_check;
REFRESH MATERIALIZED VIEW by_view;
"""


@pytest.mark.case("P5")
@pytest.mark.parametrize("jobs", JOBS)
def test_rows_that_functions_check_come_behind_what_these_read(pair: Pair, jobs: int) -> None:
    source, target = pair.filled(READERS)
    run(source, target, jobs).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("P5")
def test_rows_that_no_other_rows_can_help_fail_alone(pair: Pair) -> None:
    source, target = pair.filled(READERS)
    servers.run_script(
        source,
        """
        INSERT INTO zz_kinds VALUES (9999, ''); INSERT INTO by_check VALUES (9999);
        DELETE FROM zz_kinds WHERE kind = 9999;
        """,
    )
    report = run(source, target, 2)
    assert {task.object for task in report.failed} == {"public.by_check"}
    assert report.failed[0].sqlstate == "23514"


# A server of 16 does not know virtual columns: a syntax error, of which it runs nothing at all.
REFUSED = """
CREATE TABLE t075_refused (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL);
CREATE VIEW t075_view AS SELECT * FROM t075_refused;
COMMENT ON VIEW t075_view IS 'x';
"""
WINDOW = "".join(
    f"CREATE TABLE t{n:03} (id int PRIMARY KEY); COMMENT ON TABLE t{n:03} IS 'x';\n"
    for n in range(150)
)
MADE = "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]{3}$'"
DONE = """
SELECT count(*) FROM pgmigrate.migration_task
WHERE kind = 'table' AND phase = 'pre-data' AND status = 'done'
"""


def test_an_entry_that_fails_in_a_window_fails_alone_with_what_requires_it(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 16)
    source, target = pair.filled(WINDOW + REFUSED)
    report = run(source, target, roles="none")
    failed = {task.object: task for task in report.failed if task.phase == "pre-data"}
    assert failed.pop("public.t075_refused").sqlstate == "42601"
    assert {name: task.status for name, task in failed.items()} == {
        "public.t075_view": "blocked",
        "VIEW t075_view in public": "blocked",
    }
    assert servers.fetch(target, MADE) == servers.fetch(target, DONE) == [(150,)]


@contextmanager
def in_mid_window(source: str, target: str) -> Iterator[Callable[[], None]]:
    """A session that an entry in the middle of a window waits for; what lets the entry go on."""
    servers.run_script(source, WINDOW)
    with psycopg.connect(target) as holder:
        holder.execute("CREATE TABLE public.t075 (id int)")
        yield holder.rollback


def at_work(target: str) -> list[int]:
    """The sessions that wait for the entry's name to be free."""
    found = servers.fetch(
        target,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name ~ '^pgmigrate t' AND wait_event_type = 'Lock'",
    )
    return [pid for (pid,) in found]


def test_a_session_killed_in_mid_window_is_replaced_and_nothing_is_made_twice(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    with in_mid_window(source, target) as let_go, ThreadPoolExecutor() as pool:
        running = pool.submit(run, source, target, roles="none")
        wait_for(lambda: at_work(target), "no entry waits")
        servers.fetch(target, f"SELECT pg_terminate_backend({at_work(target)[0]})")
        wait_for(lambda: at_work(target), "the entry is not tried again")
        let_go()
        running.result(timeout=60).raise_for_failures()
    servers.assert_equal(source, target)


def test_a_stop_in_mid_window_leaves_what_is_done_and_can_be_resumed(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    with in_mid_window(source, target) as let_go, ThreadPoolExecutor() as pool:
        plan = migration.plan()
        running = pool.submit(migration.run, plan)
        wait_for(lambda: at_work(target), "no entry waits")
        assert migration.stop() is True
        assert running.result(timeout=60).status == "interrupted"
        assert at_work(target) == []
        let_go()
    made = servers.fetch(target, MADE)
    assert made == servers.fetch(target, DONE) and 0 < made[0][0] < 150
    migration.run(plan, resume=True).raise_for_failures()
    servers.assert_equal(source, target)


def test_entries_do_not_wait_for_the_answers_to_those_before_them(pair: Pair) -> None:
    source, target = pair.filled(WINDOW)
    times: list[float] = []

    def note(event: Mapping[str, Any]) -> None:
        if event.get("phase") == "pre-data":
            times.append(time.monotonic())

    with delayed(target, 0.02) as far:
        migration = Migration(source=source, target=far, roles="none")
        migration.run(jobs=1, on_event=note).raise_for_failures()
    # 300 entries, each of which would wait for 40 ms at least.
    assert len(times) == 600 and times[-1] - times[0] < 4
