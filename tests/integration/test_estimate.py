"""Calibration on real servers: it measures, leaves nothing behind, and a plan can be estimated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import Migration, Rates, SchemaError, demo_database
from support import servers

SCRIPT = """
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('good', 'bad');
CREATE DOMAIN s.code AS text CHECK (VALUE <> '');
CREATE TYPE s.pair AS (a int, b text);
CREATE TABLE s.large (
    id bigint PRIMARY KEY, mood s.mood, moods s.mood[], code s.code, pair s.pair, at timestamptz,
    place point, doubled bigint GENERATED ALWAYS AS (id * 2) STORED, note text
);
INSERT INTO s.large (id, mood, moods, code, pair, at, place, note)
SELECT i, 'good', '{bad,good}', 'c' || i, (i, 'x')::s.pair, now(), point(i, i), repeat('n', 40)
FROM generate_series(1, 40000) AS i;
CREATE INDEX ON s.large USING gist (place);
CREATE INDEX ON s.large (doubled);
CREATE INDEX ON s.large (lower(note));
CREATE TABLE s.other (id int PRIMARY KEY, large bigint REFERENCES s.large);
INSERT INTO s.other SELECT i, i FROM generate_series(1, 20000) AS i;
CREATE TABLE s.small (id int);
ANALYZE;
"""
CATALOGS = (
    "pg_class", "pg_namespace", "pg_type", "pg_attribute", "pg_index", "pg_constraint",
    "pg_depend", "pg_statistic", "pg_largeobject_metadata",
)  # fmt: skip


def _migration(pair: Pair, **options: Any) -> tuple[Migration, str, str]:
    source, target = pair.filled(SCRIPT)
    return Migration(source=source, target=target, **options), source, target


def _everything(conninfo: str) -> dict[str, object]:
    """What a database holds: rows of the catalogs, user tables with their rows, file sizes."""
    with psycopg.connect(conninfo) as connection:
        found: dict[str, object] = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchall() for name in CATALOGS
        }
    for schema, table in servers.tables(conninfo):
        found[f"{schema}.{table}"] = servers.rows(conninfo, schema, table)
    return found


def _sessions(conninfo: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'pgmigrate%'"
        ).fetchall()


def _assert_usable(rates: Rates) -> None:
    figures = [value for value in rates.to_dict().values() if isinstance(value, float)]
    assert all(math.isfinite(figure) and figure > 0 for figure in figures)
    assert [point.sessions for point in rates.copy_speedup] == [2, 4]


def test_calibration_leaves_nothing_on_either_server(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    servers.run_script(target, "CREATE TABLE mine (a int); INSERT INTO mine VALUES (1), (2)")
    before = _everything(source), _everything(target)
    rates = migration.calibrate(seconds=6)
    assert (_everything(source), _everything(target)) == before
    assert _sessions(source) == _sessions(target) == []
    assert migration.status().state == "none"
    assert rates.calibrated
    _assert_usable(rates)


def test_calibration_writes_and_logs_what_it_writes(pair: Pair) -> None:
    migration, _, target = _migration(pair)
    with psycopg.connect(target, autocommit=True) as connection:

        def written() -> Any:
            query = "SELECT pg_current_wal_insert_lsn() - '0/0'"
            return connection.execute(query).fetchall()[0][0]

        before = written()
        migration.calibrate(seconds=6)
        # A slice of the largest table is half a megabyte at least, and is copied several times.
        assert written() - before > 1_000_000


def test_no_session_sees_a_sample(pair: Pair) -> None:
    migration, _, target = _migration(pair)
    seen: list[Any] = []
    with psycopg.connect(target, autocommit=True) as connection:

        def look(_: object) -> None:
            query = "SELECT relname FROM pg_class WHERE relname LIKE 'pgmigrate%'"
            seen.extend(connection.execute(query).fetchall())

        migration.calibrate(seconds=6, on_event=look)
    assert seen == []


def test_every_type_of_the_source_is_sampled(pair: Pair) -> None:
    migration, _, _ = _migration(pair)
    rates = migration.calibrate(seconds=6)
    assert rates.notes == ()
    known = {table.table: table for table in rates.tables}
    assert set(known) == {"s.large", "s.other"}
    large = known["s.large"]
    assert large.copy and large.index and large.validation and large.analyze


def test_a_plan_is_the_same_before_and_after_and_names_the_same_tables(pair: Pair) -> None:
    migration, source, _ = _migration(pair)
    # Autovacuum has then no reason to change sizes and statistics in between.
    servers.run_script(source, "VACUUM ANALYZE")
    plan = migration.plan()
    rates = migration.calibrate(plan, seconds=6)
    assert migration.plan() == plan
    assert {table.table for table in rates.tables} <= {task.object for task in plan}


def test_a_reader_and_an_owner_are_enough(pair: Pair) -> None:
    _, source, target = _migration(pair)
    name = pair.name.replace("_", "")[:40]
    servers.run_script(
        source,
        f"CREATE ROLE r{name} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA s TO r{name};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA s TO r{name};",
    )
    servers.run_script(
        target,
        f"CREATE ROLE w{name} LOGIN PASSWORD 'x';"
        f"DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO w{name}', "
        "current_database()); END $$",
    )
    try:
        migration = Migration(
            source=make_conninfo(source, user=f"r{name}", password="x"),
            target=make_conninfo(target, user=f"w{name}", password="x"),
            schemas=["s"],
        )
        rates = migration.calibrate(seconds=6)
        assert rates.notes == ()
        _assert_usable(rates)
    finally:
        servers.run_script(source, f"DROP OWNED BY r{name}; DROP ROLE r{name}")
        servers.run_script(target, f"DROP OWNED BY w{name}; DROP ROLE w{name}")


def test_without_a_right_to_make_schemas_the_ledgers_has_to_do(pair: Pair) -> None:
    _, source, target = _migration(pair)
    name = pair.name.replace("_", "")[:40]
    servers.run_script(target, f"CREATE SCHEMA ledger; CREATE ROLE o{name} LOGIN PASSWORD 'x'")
    try:
        migration = Migration(
            source=source,
            target=make_conninfo(target, user=f"o{name}", password="x"),
            schemas=["s"],
            ledger_schema="ledger",
        )
        with pytest.raises(SchemaError, match="creating a schema for samples") as caught:
            migration.calibrate(seconds=6)
        assert "grant CREATE" in str(caught.value.remedy)
        servers.run_script(target, f"GRANT USAGE, CREATE ON SCHEMA ledger TO o{name}")
        before = _everything(target)
        assert migration.calibrate(seconds=6).tables
        assert _everything(target) == before
    finally:
        servers.run_script(target, f"DROP OWNED BY o{name}; DROP ROLE o{name}")


def test_when_the_time_is_up_what_is_missing_keeps_a_typical_figure(pair: Pair) -> None:
    migration, source, target = _migration(pair)
    before = _everything(source), _everything(target)
    rates = migration.calibrate(seconds=0.001)
    assert rates.tables == ()
    assert rates.copy_binary == Rates.typical().copy_binary
    assert not rates.calibrated and "the time was up" in rates.notes[0]
    assert rates.uncertainty == Rates.typical().uncertainty
    assert (_everything(source), _everything(target)) == before
    assert _sessions(target) == []


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_a_time_that_is_none_is_refused(pair: Pair, seconds: float) -> None:
    migration = Migration(source=pair.source(), target=pair.target())
    with pytest.raises(ValueError, match="seconds"):
        migration.calibrate(seconds=seconds)


def test_a_calibration_that_is_stopped_leaves_nothing(pair: Pair) -> None:
    migration, _, target = _migration(pair)
    before = _everything(target)

    def stop(event: Mapping[str, Any]) -> None:
        if event == {"event": "step_started", "step": "calibrate"}:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migration.calibrate(seconds=60, on_event=stop)
    assert _everything(target) == before
    assert _sessions(target) == []


def test_a_table_that_cannot_be_sampled_costs_a_note_and_no_value(pair: Pair) -> None:
    tables = {
        "mode": "all",
        "include": [{"schema": "s", "name": "other", "where": "1 / (id - 10001) <> 7"}],
    }
    migration, _, _ = _migration(pair, tables=tables)
    rates = migration.calibrate(seconds=6)
    assert [note for note in rates.notes if note.startswith("s.other could not be sampled")]
    assert [table.table for table in rates.tables] == ["s.large"]


async def test_calibration_can_be_awaited(pair: Pair) -> None:
    migration, _, _ = _migration(pair)
    rates = await migration.calibrate_async(seconds=1)
    assert rates.calibrated


def test_the_demo_database_is_estimated(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    demo_database.fill(source, scale=0.05)
    migration = Migration(source=source, target=target, roles="none")
    plan = migration.plan()
    rates = migration.calibrate(plan, seconds=6)
    estimate = plan.estimate(2, rates=rates)
    assert estimate.calibrated and 0 < estimate.low < estimate.seconds < estimate.high < 1000
    seconds = [one.seconds for one in estimate.by_jobs]
    assert all(math.isfinite(one) for one in seconds)
    assert all(more <= less * 1.02 for less, more in itertools.pairwise(seconds))
    phases = list(dict.fromkeys(task.phase for task in plan))
    assert sorted(phase.phase for phase in estimate.phases) == sorted(phases)
    assert estimate.chain[0].waits_for == "nothing"
    assert sum(step.seconds for step in estimate.chain) == pytest.approx(
        estimate.seconds - estimate.preparation
    )
    largest = max((t for t in plan if t.kind == "data"), key=lambda t: t.bytes)
    assert largest.object in {table.table for table in estimate.tables}
