"""What the safe procedure undoes when a step fails or somebody interrupts it, and what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pgmigrate import CommandError, CopyError, DriftError, Plan, VerifyError
from support import servers
from support.application import Application
from support.cases import some_each_time
from support.config_keys import shows
from support.safety import (
    GATED,
    REFUSING,
    closed_gate,
    config_file,
    contents,
    ended,
    migration,
    states,
    until,
)
from support.shell import Shell


@shows("procedure.on_failure")
def test_a_failed_migration_is_restored(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    servers.run_script(written[1], REFUSING)
    before, first = contents(written[1]), application.process()
    config = config_file(migration(written, tmp_path, application.procedure()), tmp_path / "c.json")
    done = shell.run("safe", "--config", str(config), "--json")
    assert done.code == 1, done.text
    reported = json.loads(done.stdout)
    assert (reported["status"], reported["restored"], reported["touched"]) == ("failed", True, True)
    assert reported["application"] == "started" and application.process() not in (None, first)
    assert reported["error"]["kind"] == "copy" and "settings" in reported["error"]["message"]
    steps = {step["name"]: step["state"] for step in reported["steps"]}
    assert steps["migrate"] == "failed" and steps["verify"] == steps["start"] == "pending"
    assert list(steps)[-2:] == ["restore", "start_again"]
    assert steps["restore"] == steps["start_again"] == "done"
    assert contents(written[1]) == before


def test_a_failed_migration_is_kept_and_resumed(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    servers.run_script(written[1], REFUSING)
    procedure = application.procedure(on_failure="keep")
    config = config_file(migration(written, tmp_path, procedure), tmp_path / "c.json")
    done = shell.run("safe", "--config", str(config))
    assert done.code == 1, done.text
    assert "the target is left as it is now" in done.stdout
    assert "the application is started again" in done.stdout
    assert ("public", "written") in servers.tables(written[1])
    assert application.process() is not None

    # The source was written to since, and the run must not mix what it saw before and after.
    servers.run_script(
        written[1], "ALTER TABLE settings DROP CONSTRAINT refused; DELETE FROM settings"
    )
    again = shell.run("safe", "--config", str(config), "--resume", "--json")
    assert again.code == 0, again.text
    assert json.loads(again.stdout)["status"] == "done"
    assert application.process() is not None
    application.do("stop")


def test_a_target_that_no_run_has_touched_is_not_restored(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    before, first = contents(written[1]), application.process()
    plan = migration(written, tmp_path, {}, options={"format": "text"}).plan()
    report = migration(written, tmp_path, application.procedure()).run_safely(plan)
    with pytest.raises(DriftError):
        report.raise_for_failures()
    assert report.status == "failed" and states(report)["migrate"] == "failed"
    assert (report.touched, report.restored) == (False, False)
    assert "restore" not in states(report) and "start_again" in states(report)
    assert application.process() not in (None, first)
    assert contents(written[1]) == before


def test_a_source_that_is_written_to_meanwhile_is_found_out(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    before = contents(written[1])

    def write(event: Mapping[str, Any]) -> None:
        # Both sides have been read by then.
        if event["event"] == "step_finished" and event["step"] == "verify catalog":
            servers.run_script(written[0], "INSERT INTO written VALUES (0, 0, now())")

    report = migration(written, tmp_path, application.procedure()).run_safely(on_event=write)
    with pytest.raises(VerifyError, match="the source was written to after it had become quiet"):
        report.raise_for_failures()
    assert report.restored and report.application == "started"
    assert contents(written[1]) == before


@shows("procedure.start_on_failure", "procedure.start_on_failure[].<option>")
@pytest.mark.parametrize("again", [True, False, "touch old"])
def test_what_is_started_after_a_failure(
    written: tuple[str, str], tmp_path: Path, again: bool | str
) -> None:
    procedure = {
        "stop": ["touch stopped", "false"],
        "start": "touch new",
        "start_on_failure": again,
        "cwd": str(tmp_path),
    }
    report = migration(written, tmp_path, procedure).run_safely()
    with pytest.raises(CommandError, match="`false` ended with exit code 1"):
        report.raise_for_failures()
    assert (tmp_path / "stopped").exists()
    assert (tmp_path / "new").exists() == (again is True)
    assert (tmp_path / "old").exists() == (again == "touch old")
    assert report.application == ("started" if again else "stopped")
    assert ("THE APPLICATION IS NOT RUNNING" in report.text()) == (not again)


def test_an_application_that_does_not_start_has_its_own_exit_code(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    first = application.process()
    procedure = application.procedure(start="sh -c 'echo no luck >&2; exit 7'")
    config = config_file(migration(written, tmp_path, procedure), tmp_path / "c.json")
    done = shell.run("safe", "--config", str(config))
    assert done.code == 5, done.text
    assert "safe procedure migrated, APPLICATION NOT STARTED in" in done.stdout
    assert (
        "the migration is done, verified and kept; "
        "THE APPLICATION IS NOT RUNNING: start it by hand" in done.stdout
    )
    assert "ended with exit code 7" in done.stderr
    assert "start | no luck" in (tmp_path / "pgmigrate.log").read_text()
    assert application.process() is None and first is not None
    servers.assert_equal(*written)


@shows("procedure.start_on_failed_restore")
def test_a_restore_that_fails_is_reported_and_the_application_started(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    servers.run_script(written[1], REFUSING)

    def lose(event: Mapping[str, Any]) -> None:
        if event["event"] == "step_started" and event["step"] == "ledger":
            for backup in (tmp_path / "backup").iterdir():
                backup.unlink()

    procedure = application.procedure(start_on_failed_restore=True)
    report = migration(written, tmp_path, procedure).run_safely(on_event=lose)
    with pytest.raises(CopyError):
        report.raise_for_failures()
    assert states(report)["restore"] == "failed" and not report.restored
    assert (report.status, report.target) == ("not_restored", "not_restored")
    assert "the target is left as it is now" in report.text()
    assert states(report)["start_again"] == "done" and application.process() is not None


# Interruptions.


@pytest.mark.parametrize(
    "number", some_each_time([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], signal.SIGTERM)
)
def test_an_interrupted_migration_is_undone(
    written: tuple[str, str],
    application: Application,
    tmp_path: Path,
    shell: Shell,
    number: signal.Signals,
) -> None:
    before, first = contents(written[1]), application.process()
    gated = migration(written, tmp_path, application.procedure(), tables={"include": [GATED]})
    config = config_file(gated, tmp_path / "c.json")
    with closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(config))
        until(is_waiting)
        os.killpg(process.pid, number)
        text = ended(process)
    assert process.returncode == 130, text
    assert "safe procedure interrupted; target restored" in text and "--resume" not in text
    assert "restore: done in" in text and "start_again: done in" in text
    assert application.process() not in (None, first)
    assert contents(written[1]) == before


def test_an_interrupted_migration_is_kept_and_resumed(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    procedure = application.procedure(on_failure="keep")
    gated = migration(written, tmp_path, procedure, tables={"include": [GATED]})
    config = config_file(gated, tmp_path / "c.json")
    with closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(config))
        until(is_waiting)
        os.killpg(process.pid, signal.SIGINT)
        text = ended(process)
    assert "left as it is now" in text
    assert f"to go on: pgmigrate safe --config {config} --plan plan.tsv" in text
    assert application.process() is not None
    assert Plan.load(tmp_path / "plan.tsv") and gated.status().state == "interrupted"
    again = shell.run("safe", "--config", str(config), "--resume")
    assert again.code == 0, again.text
    assert application.process() is not None


def test_a_command_that_is_interrupted_is_ended_and_the_application_started(
    written: tuple[str, str], tmp_path: Path, shell: Shell
) -> None:
    procedure = {
        "stop": {"run": "touch stopping; sleep 600", "shell": True},
        "start": "touch again",
    }
    config = config_file(migration(written, tmp_path, procedure), tmp_path / "c.json")
    process = shell.start_group("safe", "--config", str(config))
    until((tmp_path / "stopping").exists)
    os.killpg(process.pid, signal.SIGINT)
    text = ended(process)
    assert process.returncode == 130, text
    assert (tmp_path / "again").exists() and "the target is untouched" in text


def test_nohup_keeps_a_procedure_from_being_ended_with_its_terminal(
    written: tuple[str, str], tmp_path: Path, shell: Shell
) -> None:
    stop = {"run": "touch stopping; while ! test -e go; do sleep 0.1; done", "shell": True}
    config = config_file(migration(written, tmp_path, {"stop": stop}), tmp_path / "c.json")
    process = shell.start_group("safe", "--config", str(config), by=["nohup"])
    until((tmp_path / "stopping").exists)
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.5)
    (tmp_path / "go").touch()
    text = ended(process)
    assert process.returncode == 0, text
    servers.assert_equal(*written)


def test_an_interruption_waits_for_the_application_to_be_started(
    written: tuple[str, str], tmp_path: Path, shell: Shell
) -> None:
    procedure = {"start": {"run": "touch starting; sleep 2; touch started", "shell": True}}
    config = config_file(migration(written, tmp_path, procedure), tmp_path / "c.json")
    process = shell.start_group("safe", "--config", str(config))
    until((tmp_path / "starting").exists)
    os.killpg(process.pid, signal.SIGINT)
    text = ended(process)
    assert process.returncode == 0, text
    assert (tmp_path / "started").exists()
    servers.assert_equal(*written)


async def test_a_cancelled_procedure_is_undone(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    before, first = contents(written[1]), application.process()
    gated = migration(written, tmp_path, application.procedure(), tables={"include": [GATED]})
    with closed_gate(written[0]) as is_waiting:
        task = asyncio.create_task(gated.run_safely_async())
        while not is_waiting():
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert application.process() not in (None, first)
    assert contents(written[1]) == before


def test_an_exception_in_on_event_is_raised_after_all_is_undone(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    before, first = contents(written[1]), application.process()

    def fail(event: Mapping[str, Any]) -> None:
        if event["event"] == "run_started":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        migration(written, tmp_path, application.procedure()).run_safely(on_event=fail)
    assert application.process() not in (None, first)
    assert contents(written[1]) == before


@pytest.mark.parametrize("error", [ZeroDivisionError, CommandError("no", remedy="")])
def test_a_run_that_goes_on_behind_an_exception_in_on_event_is_undone(
    written: tuple[str, str], tmp_path: Path, error: Exception
) -> None:
    before, steps = contents(written[1]), []

    def fail(event: Mapping[str, Any]) -> None:
        if event["event"] == "procedure_step":
            steps.append(event["name"])
        elif event["event"] == "step_started" and steps[-1] == "migrate":
            # Meanwhile the run writes, and what it shows of that is never delivered.
            until(lambda: ("public", "written") in servers.tables(written[1]))
            raise error

    moved = migration(written, tmp_path, {"start": "true"})
    with suppress(ZeroDivisionError):
        moved.run_safely(on_event=fail)
    assert contents(written[1]) == before


@pytest.mark.parametrize("moment", [("verify", "done"), ("start", "running")])
def test_an_exception_after_the_verification_starts_the_application_nevertheless(
    written: tuple[str, str], tmp_path: Path, moment: tuple[str, str]
) -> None:
    def interrupt(event: Mapping[str, Any]) -> None:
        if event["event"] == "procedure_step" and (event["name"], event["state"]) == moment:
            raise CommandError("not this one", remedy="")

    procedure = {"stop": "true", "start": "touch new", "cwd": str(tmp_path)}
    report = migration(written, tmp_path, procedure).run_safely(on_event=interrupt)
    assert (tmp_path / "new").exists()
    assert (report.status, report.application) == ("failed", "started")
    assert report.migrated and states(report)["start"] == "done"
    servers.assert_equal(*written)


def test_an_exception_in_on_event_keeps_nothing_from_being_undone(
    written: tuple[str, str], tmp_path: Path
) -> None:
    def fail(event: Mapping[str, Any]) -> None:
        if event["event"] == "procedure_step" and event["name"] == "start_again":
            raise ZeroDivisionError

    procedure = {"stop": "false", "start": "touch again", "cwd": str(tmp_path)}
    report = migration(written, tmp_path, procedure).run_safely(on_event=fail)
    assert report.application == "started" and (tmp_path / "again").exists()
    with pytest.raises(CommandError):
        report.raise_for_failures()
