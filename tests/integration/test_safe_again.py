"""Procedures at once on one target, and after one that was killed: X5 to X8."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgmigrate import CopyError, StateError
from support import safety, servers
from support.application import Application
from support.cases import some_each_time
from support.shell import Shell

RUN_LOCK = "SELECT pg_advisory_lock(1885826409, 1)"
STEPS = ["stop", "check_stopped", "wait_for_writers", "backup", "migrate", "verify", "start"]


def assert_moved(written: tuple[str, str], application: Application) -> None:
    """The application runs, and the target has all that was written before it was started."""
    process = application.process()
    assert process is not None
    application.do("stop")
    with psycopg.connect(written[0], autocommit=True) as connection:
        connection.execute("DELETE FROM written WHERE process = %s", [process])
    servers.assert_equal(*written)


# X6: several at once.


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.matrix)])
def test_of_several_at_once_one_works_and_the_others_stop_nothing(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell, count: int
) -> None:
    stop = shlex.join(application.command("stop"))
    procedure = application.procedure(
        stop={"run": f"echo >> stops; sleep 4; {stop}", "shell": True}, cwd=str(tmp_path)
    )
    config = safety.config_file(safety.migration(written, tmp_path, procedure), tmp_path / "c.json")
    first = shell.start_group("safe", "--config", str(config))
    safety.until((tmp_path / "stops").exists)
    others = [shell.start_group("safe", "--config", str(config)) for _ in range(count)]
    for other in others:
        text = safety.ended(other)
        assert other.returncode == 1, text
        assert "another safe procedure is active on this target" in text
        assert f"process {first.pid} on " in text and "wait for its end" in text
        assert "this call has changed nothing on the target; this call has not stopped" in text
    text = safety.ended(first)
    assert first.returncode == 0, text
    assert (tmp_path / "stops").read_text() == "\n"
    assert_moved(written, application)


def test_an_application_that_runs_again_is_found_before_the_backup(
    written: tuple[str, str], application: Application, tmp_path: Path
) -> None:
    def run_again(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("name"), event.get("state")) == (
            "procedure_step",
            "backup",
            "running",
        ):
            application.do("start")

    report = safety.migration(written, tmp_path, application.procedure()).run_safely(
        on_event=run_again
    )
    assert report.error is not None and "the application is not stopped" in str(report.error)
    assert safety.states(report)["backup"] == "failed" and report.target == "untouched"
    assert not (tmp_path / "backup").exists()


def test_a_lock_that_was_lost_is_taken_again(written: tuple[str, str], tmp_path: Path) -> None:
    def lose(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("state")) == ("procedure_step", "running"):
            servers.run_script(
                written[1],
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "WHERE locktype = 'advisory' AND objid = 6",
            )

    report = safety.migration(written, tmp_path, {}).run_safely(on_event=lose)
    report.raise_for_failures()
    servers.assert_equal(*written)


def test_a_lock_that_another_has_taken_meanwhile_ends_the_procedure(
    written: tuple[str, str], tmp_path: Path
) -> None:
    thief = psycopg.connect(written[1], autocommit=True, application_name="pgmigrate other")

    def steal(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("step")) == ("step_started", "wait for writers"):
            # Until the procedure's own session is back, the lock is free.
            while not thief.execute("SELECT pg_try_advisory_lock(1885826409, 6)").fetchone()[0]:  # type: ignore[index]
                thief.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND objid = 6"
                )

    procedure = {"stop": "true", "start": "touch started", "cwd": str(tmp_path)}
    with thief:
        report = safety.migration(written, tmp_path, procedure).run_safely(on_event=steal)
    with pytest.raises(StateError, match="another process works on the procedure meanwhile"):
        report.raise_for_failures()
    assert "another procedure is active on the target" in report.text()
    assert not (tmp_path / "started").exists()


# X7: one more after a kill.


@pytest.mark.parametrize("step", some_each_time(STEPS, "migrate", "start"))
def test_after_a_kill_in_a_step_one_more_goes_on(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell, step: str
) -> None:
    config = safety.config_file(
        safety.migration(written, tmp_path, application.procedure()), tmp_path / "c.json"
    )
    process = shell.start_group("safe", "--config", str(config))
    safety.until(lambda: safety.is_in(tmp_path, step) or process.poll() is not None)
    safety.kill(process)
    killed = safety.journal(tmp_path)
    has_begun = bool(servers.fetch(written[1], "SELECT FROM pgmigrate.migration_run"))
    more = ["--resume"] if STEPS.index(step) % 2 else []
    done = shell.run("safe", "--config", str(config), *more)
    assert done.code == 0, done.text
    assert f"going on with the procedure of {killed['began']}" in done.text
    assert "the migration is done, verified and kept; the application is started" in done.text
    if has_begun:
        assert "remains what is restored" in done.text
        assert list((tmp_path / "backup").iterdir()) == [Path(killed["backup"])]
    assert_moved(written, application)


def test_what_a_killed_one_has_stopped_is_said_where_the_next_cannot_begin(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    before = safety.contents(written[1])
    procedure = application.procedure()
    gated = safety.migration(written, tmp_path, procedure, tables={"include": [safety.GATED]})
    config = safety.config_file(gated, tmp_path / "c.json")
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(config))
        safety.until(is_waiting)
        safety.kill(process)
    (tmp_path / "plan.tsv").write_text("damaged")
    done = shell.run("safe", "--config", str(config))
    assert done.code == 1, done.text
    assert "untouched" not in done.stdout and "was not stopped" not in done.stdout
    assert "the target is left as it is now" in done.stdout
    assert "THE APPLICATION MAY NOT BE RUNNING: an earlier procedure stopped it" in done.stdout
    assert application.process() is None
    [back] = [line for line in done.stderr.splitlines() if line.startswith("to go back: ")]
    words = shlex.split(back.removeprefix("to go back: "))
    assert shell.run(*words[1:], "--yes").code == 0
    # By hand the ledger comes back as it was in the backup, with the journal's first entries.
    again = shell.run("safe", "--config", str(config), "--dry-run")
    assert again.code == 0, again.text
    safety.config_file(safety.migration(written, tmp_path, procedure), config)
    assert safety.contents(written[1]) != before
    done = shell.run("safe", "--config", str(config))
    assert done.code == 0, done.text
    assert_moved(written, application)


def test_a_failure_after_a_kill_restores_what_was_there_before_the_first(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    servers.run_script(written[1], "CREATE TABLE own (a int); INSERT INTO own VALUES (1)")
    before = safety.contents(written[1])
    gated = safety.migration(
        written, tmp_path, application.procedure(), tables={"include": [safety.GATED]}
    )
    config = safety.config_file(gated, tmp_path / "c.json")
    for _ in range(2):
        with safety.closed_gate(written[0]) as is_waiting:
            process = shell.start_group("safe", "--config", str(config))
            safety.until(is_waiting)
            safety.kill(process)
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(config), "--resume")
        safety.until(is_waiting)
        text = safety.kill(process, signal.SIGINT)
    assert "restore: done in" in text and "restored to what it was before" in text
    assert application.process() is not None
    assert safety.contents(written[1]) == before


@pytest.mark.parametrize("delay", some_each_time([0.0, 0.1, 0.25], 0.1))
def test_after_a_kill_in_the_restore_one_more_goes_on(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell, delay: float
) -> None:
    gated = safety.migration(
        written, tmp_path, application.procedure(), tables={"include": [safety.GATED]}
    )
    config = safety.config_file(gated, tmp_path / "c.json")
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(config))
        safety.until(is_waiting)
        process.send_signal(signal.SIGINT)
        safety.until(lambda: safety.is_in(tmp_path, "restore") or process.poll() is not None)
        time.sleep(delay)
        safety.kill(process)
    done = shell.run("safe", "--config", str(config))
    assert done.code == 0, done.text
    assert_moved(written, application)


# X5: others write.


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("INSERT INTO own VALUES (2)", "public.own: 1 row that the run did not write"),
        ("UPDATE own SET a = 3", "public.own: 1 row that the run did not write"),
        ("DELETE FROM own", "public.own: 1 rows were deleted"),
        ("TRUNCATE own", "public.own: it was truncated or rewritten"),
        ("DROP TABLE own", "public.own: it was dropped"),
        ("INSERT INTO settings VALUES ('new', '')", "public.settings: 1 row that the run did not"),
        ("UPDATE settings SET value = 'x'", "public.settings: 1 row that the run did not write"),
        ("CREATE TABLE other AS SELECT 1 AS a", "public.other: 1 row that the run did not write"),
    ],
)
def test_rows_of_others_are_not_restored_away(
    written: tuple[str, str], tmp_path: Path, statement: str, named: str
) -> None:
    servers.run_script(written[1], safety.REFUSING)
    servers.run_script(written[1], "CREATE TABLE own (a int); INSERT INTO own VALUES (1)")

    def write(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("name"), event.get("state")) == (
            "procedure_step",
            "migrate",
            "failed",
        ):
            servers.run_script(written[1], statement)
            after.append(safety.contents(written[1]))

    after: list[Any] = []
    procedure = {"stop": "true", "start": "touch started", "cwd": str(tmp_path)}
    report = safety.migration(written, tmp_path, procedure).run_safely(on_event=write)
    with pytest.raises(CopyError):
        report.raise_for_failures()
    assert (report.status, report.restored) == ("not_restored", False)
    assert any(named in line for line in report.others), report.others
    assert safety.states(report)["check_writers"] == "failed" and "restore" not in safety.states(
        report
    )
    assert f"to go back: restore('{report.backup}')" in report.text()
    assert not (tmp_path / "started").exists()
    tables = [each for each in after[0][1] if each[0] != "pgmigrate"]
    assert [each for each in safety.contents(written[1])[1] if each[0] != "pgmigrate"] == tables


# X8: a restore that fails.


def test_a_restore_that_fails_is_an_outcome_with_its_command(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    before = safety.contents(written[1])
    gated = safety.migration(
        written, tmp_path, application.procedure(), tables={"include": [safety.GATED]}
    )
    config = safety.config_file(gated, tmp_path / "c.json")
    away = tmp_path / "away"
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(config))
        safety.until(is_waiting)
        [backup] = (tmp_path / "backup").iterdir()
        backup.rename(away)
        text = safety.kill(process, signal.SIGTERM)
    assert process.returncode == 9, text
    assert "THE TARGET IS NOT RESTORED" in text and "was before" not in text
    assert "THE APPLICATION IS NOT RUNNING" in text and application.process() is None
    command = f"pgmigrate restore --config {config} {backup}"
    assert f"to go back: {command}" in text.replace("\n", " ")
    assert safety.contents(written[1]) != before
    away.rename(backup)
    assert shell.run(*shlex.split(command)[1:], "--yes").code == 0
    after = safety.contents(written[1])[1]
    assert [each for each in after if each[0] != "pgmigrate"] == before[1]
    # The next one knows that it was restored by hand, and by whom the application was stopped.
    dry = shell.run("safe", "--config", str(config), "--dry-run")
    assert dry.code == 0 and "going on with the procedure of" in dry.text
    safety.config_file(safety.migration(written, tmp_path, application.procedure()), config)
    done = shell.run("safe", "--config", str(config))
    assert done.code == 0, done.text
    assert_moved(written, application)


def test_a_run_that_is_at_work_keeps_a_restore_away(
    written: tuple[str, str], tmp_path: Path
) -> None:
    servers.run_script(written[1], safety.REFUSING)
    began = time.monotonic()
    with psycopg.connect(written[1], autocommit=True) as connection:

        def hold(event: Mapping[str, Any]) -> None:
            if (event["event"], event.get("name")) == ("procedure_step", "restore"):
                connection.execute(RUN_LOCK)

        procedure = {"stop": "true", "start": "touch started", "cwd": str(tmp_path)}
        report = safety.migration(written, tmp_path, procedure).run_safely(on_event=hold)
    assert (report.status, report.target) == ("not_restored", "not_restored")
    assert "a run of pgmigrate is active on the target" in report.outcome()
    assert "was before" not in report.text() and time.monotonic() - began < 60
    assert not (tmp_path / "started").exists()
