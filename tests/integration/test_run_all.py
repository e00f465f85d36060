"""`run_all` when it is ended: what had come to an end by then is not lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import (
    ConnectError,
    Event,
    Migration,
    PgMigrateError,
    Report,
    outcomes_of,
    run_all,
)
from support import servers
from support.shell import Shell

GATE = 4712
SCRIPT = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)"


class Ended(Exception):  # noqa: N818
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
        (None, Ended),
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
    told = json.loads(out)
    assert [(one["name"], one["status"]) for one in told] == [
        ("done", "done"),
        ("broken_off", "interrupted"),
    ]
