"""The safe procedure as a whole: the application really writes until it is stopped."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import StateError
from support import dumps, servers
from support.application import Application
from support.config_keys import shows
from support.safety import REFUSING, config_file, migration, states
from support.shell import Shell

STEPS = [
    "checklist",
    "stop",
    "check_stopped",
    "wait_for_writers",
    "backup",
    "migrate",
    "verify",
    "start",
]


class Watch:
    """When the steps of a procedure began and ended, by the clock that servers have, too."""

    def __init__(self) -> None:
        self.at: dict[tuple[str, str], float] = {}

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "procedure_step":
            self.at[event["name"], event["state"]] = time.time()


def assert_not_written_between(conninfo: str, first: int, watch: Watch) -> None:
    """The first process wrote its last row before it was stopped, the second after the start."""
    query = f"""
        SELECT max(extract(epoch FROM at)) FILTER (WHERE process = {first})::float8,
            min(extract(epoch FROM at)) FILTER (WHERE process <> {first})::float8,
            count(DISTINCT process)
        FROM written
    """
    [(last_before, first_after, processes)] = servers.fetch(conninfo, query)
    assert processes == 2
    assert last_before < watch.at["stop", "done"]
    assert first_after > watch.at["start", "running"] > watch.at["verify", "done"]


def assert_moved(written: tuple[str, str], first: int) -> None:
    """The target holds what the source held before the application was started again."""
    with psycopg.connect(written[0], autocommit=True) as connection:
        connection.execute("DELETE FROM written WHERE process <> %s", [first])
    servers.assert_equal(*written)


@shows(
    "procedure",
    "procedure.stop",
    "procedure.stop[].run",
    "procedure.start",
    "procedure.start[].<option>",
    "procedure.check_stopped",
    "procedure.check_stopped[].<option>",
    "procedure.env",
)
def test_the_application_is_stopped_moved_and_started(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    first = application.process()
    assert first is not None
    watch = Watch()
    report = migration(written, tmp_path, application.procedure()).run_safely(on_event=watch)
    report.raise_for_failures()
    assert report.ok and (report.status, report.application) == ("done", "started")
    assert (report.touched, report.migrated, report.restored) == (True, True, False)
    assert list(states(report)) == STEPS and set(states(report).values()) == {"done"}
    assert all(step.seconds > 0 for step in report.steps)
    assert report.seconds >= sum(step.seconds for step in report.steps)
    assert report.report is not None and report.verification is not None
    assert report.backup is not None and Path(report.backup).is_file()
    assert application.process() not in (None, first)
    application.do("stop")
    assert_not_written_between(written[0], first, watch)
    assert_moved(written, first)


def test_the_command_does_the_same_and_reports_it(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    first = application.process()
    assert first is not None
    config = config_file(migration(written, tmp_path, application.procedure()), tmp_path / "c.json")
    done = shell.run("safe", "--config", str(config), "--checklist", "ticket.md", "--json")
    assert done.code == 0, done.text
    reported = json.loads(done.stdout)
    assert reported["status"] == "done" and reported["error"] is None
    assert [step["name"] for step in reported["steps"]] == STEPS
    assert reported["checklist"]["items"] and reported["report"]["status"] == "done"
    assert "stop: done in" in done.stderr and "start: done in" in done.stderr
    application.do("stop")
    assert_moved(written, first)
    log = (tmp_path / "pgmigrate.log").read_text()
    assert f"check_stopped: check that it is stopped: `{application.command('check')[0]}" in log
    assert "hush" not in log + done.text
    ticket = (tmp_path / "ticket.md").read_text()
    assert "- [x] ✓ the target can be written\n" in ticket
    assert "\n5. [x] ✓ back up the target (" in ticket
    assert ticket.endswith("the migration is done, verified and kept; the application is started\n")


async def test_the_procedure_can_be_awaited(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    first = application.process()
    assert first is not None
    watch, ticks = Watch(), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.1)
            ticks += 1

    ticking = asyncio.create_task(tick())
    moved = migration(written, tmp_path, application.procedure())
    report = await moved.run_safely_async(on_event=watch)
    ticking.cancel()
    report.raise_for_failures()
    assert ticks > 10, "the loop goes on meanwhile"
    application.do("stop")
    assert_not_written_between(written[0], first, watch)
    assert_moved(written, first)


def test_a_dry_run_touches_nothing(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    first = application.process()
    before = dumps.schema(written[1])
    procedure = application.procedure(stop="touch stopped", checklist=["tried on dev"])
    config = config_file(migration(written, tmp_path, procedure), tmp_path / "c.json")
    done = shell.run("safe", "--config", str(config), "--dry-run", "--checklist", "ticket.md")
    assert done.code == 0, done.text
    assert "\n  2. · stop the application: `touch stopped` within 300 s\n" in done.stdout
    assert "must print nothing within 300 s\n  4. · wait until no session writes" in done.stdout
    assert "\n  · tried on dev\n" in done.stdout
    assert "- [ ] · tried on dev\n" in (tmp_path / "ticket.md").read_text()
    assert application.process() == first and not (tmp_path / "stopped").exists()
    assert dumps.schema(written[1]) == before and not (tmp_path / "backup").exists()
    assert not (tmp_path / "plan.tsv").exists()


@shows("procedure.checklist")
def test_the_checklist_says_what_was_looked_at(written: tuple[str, str], tmp_path: Path) -> None:
    servers.run_script(written[1], 'CREATE TABLE "a|b`<i>*" (x int)')
    servers.run_script(written[0], 'CREATE TABLE "a|b`<i>*" (x int)')
    found = migration(written, tmp_path, {"checklist": ["tried on *dev*"]})
    report = found.run_safely(dry_run=True)
    checklist = report.checklist
    assert checklist is not None and checklist.ok
    assert {item.check for item in checklist.items} >= {"target_version", "table_exists"}
    marks = {item.about: (item.mark, item.is_ticked) for item in checklist.items}
    assert marks["the target can be written"] == ("✓", True)
    assert marks["tried on *dev*"] == ("·", False)
    lines = checklist.markdown().splitlines()
    assert r"- [ ] · tried on \*dev\*" in lines
    [exists] = [line for line in lines if "exists" in line or "on the target already" in line]
    assert r"a\|b\`\<i\>\*" in exists
    [found_there] = [item for item in found.preflight().checks if item.check == "table_exists"]
    assert found_there.state == "info"


def test_what_blocks_is_found_before_the_application_is_stopped(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    first = application.process()
    servers.run_script(written[1], "CREATE VIEW settings AS SELECT 1 AS a")
    procedure = application.procedure(start="no-such-program here")
    config = config_file(migration(written, tmp_path, procedure), tmp_path / "c.json")
    done = shell.run("safe", "--config", str(config))
    assert done.code == 3, done.text
    assert "✗ there is no program no-such-program" in done.stdout
    assert "✗ public.settings: the target's object of this name is not a table" in done.stdout
    assert "the target is untouched; the application was not stopped" in done.stdout
    assert application.process() == first
    assert shell.run("safe", "--config", str(config), "--dry-run").code == 3


def test_an_unfinished_run_is_found_before_the_application_is_stopped(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    first = application.process()
    moved = migration(written, tmp_path, application.procedure())
    servers.run_script(written[1], REFUSING)
    assert moved.run().failed
    report = moved.run_safely()
    with pytest.raises(StateError, match="the last run on this target is failed"):
        report.raise_for_failures()
    assert states(report)["checklist"] == "failed" and states(report)["stop"] == "pending"
    assert application.process() == first


def test_what_is_stopped_already_is_stopped_nevertheless(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    application.do("stop")
    # The first fails where nothing runs; the second ends what would start it again.
    stop = [application.command("stop"), ["touch", str(tmp_path / "disabled")]]
    report = migration(written, tmp_path, application.procedure(stop=stop)).run_safely()
    report.raise_for_failures()
    assert states(report)["stop"] == "done" and (tmp_path / "disabled").exists()
    assert "was stopped already; `" in report.steps[1].note
    assert application.process() is not None


@shows("procedure.wait_for_writers")
def test_an_application_may_take_its_time_to_stop(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    later = {"run": f"(sleep 2; exec {' '.join(application.command('stop'))}) &", "shell": True}
    late = application.procedure(stop=later, wait_for_writers=0, start=[])
    report = migration(written, tmp_path, late).run_safely()
    assert report.status == "failed" and states(report)["check_stopped"] == "failed"
    assert "must print nothing, and ended with exit code 0 and printed 1 line" in report.text()
    deadline = time.monotonic() + 30
    while application.process() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    application.do("start")
    report = migration(written, tmp_path, application.procedure(stop=later)).run_safely()
    report.raise_for_failures()
    assert report.status == "done"


@shows("procedure.backup")
def test_without_a_backup_by_configuration(written: tuple[str, str], tmp_path: Path) -> None:
    report = migration(written, tmp_path, {"backup": False}, options={"backup": True}).run_safely()
    report.raise_for_failures()
    assert report.backup is None and states(report)["backup"] == "skipped"
    assert not (tmp_path / "backup").exists()
    # Nothing was stopped or started, and that is said.
    assert report.application == "untouched" and "the application was not stopped" in report.text()


def test_of_several_migrations_one_is_chosen(pair: Pair, tmp_path: Path, shell: Shell) -> None:
    source, dev, prod = pair.source(), pair.target("_dev"), pair.target("_prod")
    servers.run_script(source, "CREATE TABLE t (a int)")
    config = {
        "roles": "none",
        "procedure": {"stop": "touch stopped", "backup": False},
        "migrations": [
            {"name": name, "source": source, "target": target, "procedure": {"env": {"ENV": name}}}
            for name, target in (("dev", dev), ("prod", prod))
        ],
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    assert shell.run("safe", "-c", "c.json").code == 2
    assert not (tmp_path / "stopped").exists()
    done = shell.run("safe", "-c", "c.json", "--only", "dev")
    assert done.code == 0, done.text
    assert (tmp_path / "stopped").exists()
    assert (servers.tables(dev, ["pgmigrate"]), servers.tables(prod)) == ([("public", "t")], [])
