"""`run_all` when it is ended: what had come to an end by then is not lost."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import (
    ConfigError,
    ConnectError,
    DriftError,
    Event,
    Migration,
    PgMigrateError,
    Report,
    StateError,
    outcomes_of,
    run_all,
)
from pgmigrate._results.plan import OnDrift
from support import servers
from support.shell import Shell

GATE = 4712
SCRIPT = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)"


class CallersError(Exception):
    """What a caller's own code may raise."""


class OwnError(PgMigrateError):
    """The same, of a class that pgmigrate's errors are of."""


def four(pair: Pair) -> list[Migration]:
    """One that is done, one that cannot begin, one that is to be interrupted, one behind it."""
    made = []
    for name in ("done", "unreachable", "broken_off", "behind"):
        source, target = pair.source(suffix=f"_{name}"), pair.target(suffix=f"_{name}")
        servers.run_script(source, SCRIPT)
        if name == "unreachable":
            target = "host=127.0.0.1 port=1 dbname=a user=a"
        made.append(Migration(source=source, target=target, name=name, roles="none"))
    return made


@contextmanager
def handled(number: int, handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
        (lambda: signal.raise_signal(signal.SIGTERM), SystemExit),
        (None, CallersError),
        (None, OwnError),
    ],
    ids=["sigint", "sigterm", "exception", "own error"],
)
def test_what_had_ended_before_an_interruption_is_kept(
    pair: Pair, ending: Callable[[], None] | None, error: type[BaseException]
) -> None:
    migrations = four(pair)

    def on_event(migration: Migration, event: Event) -> None:
        if (migration.name, event["event"]) == ("broken_off", "run_started"):
            if ending is None:
                raise error("ended by the caller")
            ending()

    with handled(signal.SIGTERM, end), pytest.raises(error) as caught:
        run_all(migrations, on_event=on_event)
    outcomes = {migration.name: outcome for migration, outcome in outcomes_of(caught.value)}
    assert list(outcomes) == ["done", "unreachable", "broken_off"]
    first, second, third = outcomes.values()
    assert isinstance(first, Report) and first.ok and first.status == "done"
    assert isinstance(second, ConnectError)
    assert isinstance(third, Report) and third.status == "interrupted" and third.run == 1
    states = [migration.status().state for migration in (migrations[0], *migrations[2:])]
    assert states == ["done", "interrupted", "none"]
    migrations[2].run(resume=True).raise_for_failures()
    migrations[3].run().raise_for_failures()


def test_an_interruption_before_the_run_begins_keeps_the_others(pair: Pair) -> None:
    migrations = four(pair)

    def on_event(migration: Migration, event: Event) -> None:
        if (migration.name, event["event"]) == ("broken_off", "step_started"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        run_all(migrations, on_event=on_event)
    found = outcomes_of(caught.value)
    assert [migration.name for migration, _ in found] == ["done", "unreachable", "broken_off"]
    assert not isinstance(found[2][1], Report) and found[2][1].kind == "interrupted"
    assert migrations[2].status().run is None


def test_other_exceptions_have_no_outcomes() -> None:
    assert outcomes_of(KeyboardInterrupt()) == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_gives_all_outcomes_as_json(
    pair: Pair, shell: Shell, number: signal.Signals
) -> None:
    gate = f"pg_catalog.pg_advisory_xact_lock_shared({GATE})::text = ''"
    entries: list[dict[str, Any]] = []
    for name in ("done", "broken_off", "behind"):
        source, target = pair.source(suffix=f"_{name}"), pair.target(suffix=f"_{name}")
        servers.run_script(source, SCRIPT)
        entries.append({"name": name, "source": source, "target": target, "roles": "none"})
    entries[1]["tables"] = {"include": [{"name": "t", "where": gate}]}
    (shell.folder / "c.json").write_text(json.dumps({"migrations": entries}))
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(str(entries[1]["source"]), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        process = shell.start("migrate", "--config", "c.json", "--json")
        while holder.execute(waiting).fetchone() is None:
            assert process.poll() is None, process.communicate()
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    reported = json.loads(out)
    assert [(one["name"], one["status"]) for one in reported] == [
        ("done", "done"),
        ("broken_off", "interrupted"),
    ]


@pytest.mark.parametrize("on_drift", ["refuse", "warn"])
def test_each_migration_follows_the_plan_that_was_reviewed_for_it(
    pair: Pair, tmp_path: Path, on_drift: OnDrift
) -> None:
    migrations, databases = [], {}
    for name in ("drifted", "same", "unplanned"):
        source, target = pair.source(suffix=f"_{name}"), pair.target(suffix=f"_{name}")
        databases[name] = (source, target)
        servers.run_script(source, SCRIPT)
        migrations.append(Migration(source=source, target=target, name=name, roles="none"))
    path = tmp_path / "plan.tsv"
    kept = {}
    for migration in migrations[:2]:
        file = tmp_path / f"plan-{migration.name}.tsv"
        migration.plan().save(file)
        kept[migration.name] = file.read_bytes()
    source, target = databases["drifted"]
    servers.run_script(source, "CREATE TABLE later (id int)")
    outcomes = {
        one.name: outcome for one, outcome in run_all(migrations, plan=path, on_drift=on_drift)
    }
    assert list(outcomes) == ["drifted", "same", "unplanned"]
    drifted, same, unplanned = outcomes.values()
    assert isinstance(same, Report) and same.ok and isinstance(unplanned, Report) and unplanned.ok
    with psycopg.connect(target) as connection:
        row = connection.execute("SELECT to_regclass('t'), to_regclass('later')").fetchone()
    if on_drift == "refuse":
        assert isinstance(drifted, DriftError) and row == (None, None)
        assert drifted.problems == ("public.later: added (table)",)
    else:
        assert isinstance(drifted, Report) and drifted.ok
        assert row == ("t", None)
    for name, text in kept.items():
        assert (tmp_path / f"plan-{name}.tsv").read_bytes() == text
    assert (tmp_path / "plan-unplanned.tsv").exists()


def test_drift_of_plans_that_are_not_named_is_a_mistake(pair: Pair) -> None:
    with pytest.raises(ConfigError, match="on_drift"):
        run_all([], on_drift="refuse")


@pytest.mark.parametrize("on_drift", ["refuse", "warn"])
def test_a_run_that_goes_on_follows_no_plan_file(tmp_path: Path, on_drift: OnDrift) -> None:
    with pytest.raises(ConfigError, match=r"resume .* on_drift"):
        run_all([], plan=tmp_path / "plan.tsv", resume=True, on_drift=on_drift)


@pytest.mark.parametrize("cause", ["folder", "name"])
def test_a_plan_that_cannot_be_looked_for_ends_its_migration_alone(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """Neither does another migration stay undone, nor pass a reviewed plan for none."""
    names = {"blind": "x" * 300 if cause == "name" else "blind", "seen": "seen"}
    migrations, targets = [], {}
    for key, name in names.items():
        source, target = pair.source(suffix=f"_{key}"), pair.target(suffix=f"_{key}")
        servers.run_script(source, SCRIPT)
        migrations.append(Migration(source=source, target=target, name=name, roles="none"))
        targets[key] = target
    if cause == "folder":
        # Root may enter any folder.
        look = Path.stat

        def refused(path: Path, **options: Any) -> os.stat_result:
            if path.name == "plan-blind.tsv":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return look(path, **options)

        monkeypatch.setattr(Path, "stat", refused)
    outcomes = run_all(migrations, plan=tmp_path / "plan.tsv", on_drift="refuse")
    (_, blind), (_, seen) = outcomes
    assert isinstance(blind, StateError) and "plan file" in str(blind)
    assert isinstance(seen, Report) and seen.ok
    with psycopg.connect(targets["blind"]) as connection:
        assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)


def test_the_command_runs_the_reviewed_plan_of_each_migration(pair: Pair, shell: Shell) -> None:
    options = {}
    for name in ("drifted", "same"):
        source, target = pair.source(suffix=f"_{name}"), pair.target(suffix=f"_{name}")
        servers.run_script(source, SCRIPT)
        options[name] = {"source": source, "target": target, "roles": "none", "name": name}
    (shell.folder / "config.json").write_text(json.dumps({"migrations": list(options.values())}))
    call = ("--config", "config.json", "--plan", "p.tsv")
    assert shell.run("plan", *call).code == 0
    servers.run_script(options["drifted"]["source"], "CREATE TABLE later (id int)")
    done = shell.run("migrate", *call)
    assert done.code == 11, done.text
    assert "drifted: stopped: the plan differs" in done.stdout and "same: done" in done.stdout
    assert "later: added (table)" in done.text
