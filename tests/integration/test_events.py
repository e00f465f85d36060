"""What runs really report is what the types of events say, and each of them is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from conftest import Pair
from pgmigrate import Event, Migration
from support import servers
from support.event_types import mistakes, types

SCRIPT = """
CREATE TABLE c (id int, v text);
INSERT INTO c SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 20000) i;
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 20000) i;
CREATE TABLE u (id int PRIMARY KEY REFERENCES t);
INSERT INTO u VALUES (1);
CREATE INDEX ON t (v text_pattern_ops) WHERE id < 5;
ANALYZE;
"""
COPYING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'COPY%"c"%' AND state = 'active'
"""


def assert_typed(events: list[Event]) -> set[str]:
    """The names of events, all of which are as their types say."""
    assert [mistake for event in events for mistake in mistakes(event)] == []
    return {event["event"] for event in events}


def test_every_event_of_runs_is_of_its_type(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.filled(SCRIPT)
    # The foreign key does not hold there: its task fails.
    servers.run_script(
        target,
        "CREATE TABLE c (id int, v text);"
        "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (-1)",
    )
    events: list[Event] = []
    hit: list[object] = []

    migration = Migration(source=source, target=target, backup=True, backup_dir=tmp_path)
    plan = migration.plan(on_event=events.append)
    with psycopg.connect(target) as in_the_way:
        # Readers pass and our rows wait, so that a backend is in mid-COPY until this is let go.
        in_the_way.execute("LOCK TABLE c IN SHARE MODE")

        def strike(event: Event) -> None:
            events.append(event)
            if event["event"] == "task_started" and event["object"] == "public.c" and not hit:
                with psycopg.connect(source, autocommit=True) as connection:
                    while not hit:
                        hit.extend(connection.execute(COPYING).fetchall())
                in_the_way.rollback()

        assert not migration.run(plan, verify=True, jobs=2, on_event=strike).ok
    migration.verify(on_event=events.append)
    migration.preflight(on_event=events.append)
    seen = assert_typed(events)
    elsewhere = {"hold_progress", "procedure_step", "snapshot_held", "time_left"}
    assert seen >= types().keys() - elsewhere


def test_every_event_of_a_held_snapshot_is_of_its_type(pair: Pair) -> None:
    source, target = pair.filled(SCRIPT)
    migration = Migration(source=source, target=target)
    plan = migration.plan()
    events: list[Event] = []
    migration.run_tasks(plan, plan.ids("roles", "pre-data"), on_event=events.append)
    with migration.hold_snapshot(plan, on_event=events.append) as held:
        rows = plan.ids("data")
        migration.run_tasks(plan, rows, snapshot="held", on_event=events.append)
        assert held.wait().ok
    assert assert_typed(events) >= {"snapshot_held", "hold_progress", "task_finished"}


def test_every_event_of_a_safe_procedure_is_of_its_type(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.filled(SCRIPT)
    events: list[Event] = []
    steps: dict[str, list[Any]] = {"start": ["true"], "stop": ["true"]}
    for changes in ({}, {"start": ["false"]}):
        given: dict[str, Any] = {"procedure": {**steps, **changes}, "backup_dir": str(tmp_path)}
        migration = Migration(source=source, target=target, roles="none", **given)
        migration.run_safely(on_event=events.append)
        migration.cleanup()
    assert "procedure_step" in assert_typed(events)
    states = {event["state"] for event in events if event["event"] == "procedure_step"}
    assert states >= {"running", "done", "failed", "skipped"}


def test_the_time_left_is_of_its_type(pair: Pair) -> None:
    source, target = pair.filled(SCRIPT)
    gate = "id > 0 AND pg_catalog.pg_sleep(0.0002) IS NOT NULL"
    migration = Migration(
        source=source, target=target, roles="none", tables=[{"name": "t", "where": gate}]
    )
    events: list[Event] = []
    migration.run(on_event=events.append)
    assert "time_left" in assert_typed(events)
