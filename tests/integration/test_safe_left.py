"""What is left of a procedure: as `status` shows it, and after a restore by hand."""

from __future__ import annotations

import json
import shlex
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgmigrate import BackupError, StateError, Status
from support import safety, servers
from support.application import Application
from support.cases import some_each_time
from support.shell import Shell

STEPS = ["stop", "check_stopped", "wait_for_writers", "backup", "migrate", "verify", "start"]
OWN = "CREATE TABLE own (a int); INSERT INTO own VALUES (1)"


def left(shell: Shell, config: Path) -> dict[str, Any] | None:
    """What `status` shows of a procedure, the same as JSON and as text."""
    shown = shell.run("status", "--config", str(config), "--json")
    assert shown.code == 0, shown.text
    found: dict[str, Any] | None = json.loads(shown.stdout)["procedure"]
    text = shell.run("status", "--config", str(config)).stdout
    if found is None:
        assert "safe procedure" not in text
        return None
    assert f"safe procedure of {found['began']}: not at its end" in text
    for command in found["commands"]:
        assert command in text.replace("\n", " "), text
    return found


def typed(found: dict[str, Any], start: str) -> list[str]:
    """A command that `status` prints, as arguments of `pgmigrate`."""
    [line] = [each for each in found["commands"] if each.startswith(start)]
    return shlex.split(line.removeprefix(start))[1:]


@pytest.fixture
def gated(written: tuple[str, str], application: Application, tmp_path: Path) -> Path:
    """The config of a procedure whose rows are held back by a closed gate."""
    moved = safety.migration(
        written, tmp_path, application.procedure(), tables={"include": [safety.GATED]}
    )
    return safety.config_file(moved, tmp_path / "c.json")


# What status shows.


@pytest.mark.parametrize("step", some_each_time(STEPS, "stop", "migrate", "verify"))
def test_a_procedure_that_was_killed_is_shown_until_it_is_at_its_end(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell, step: str
) -> None:
    config = safety.config_file(
        safety.migration(written, tmp_path, application.procedure()), tmp_path / "c.json"
    )
    assert left(shell, config) is None
    process = shell.start_group("safe", "--config", str(config))
    safety.until(lambda: safety.is_in(tmp_path, step) or process.poll() is not None)
    safety.kill(process)
    killed = safety.journal(tmp_path)
    found = left(shell, config)
    assert found is not None and not found["at_work"]
    for name in ("began", "application", "stopped", "backup"):
        assert found[name] == killed[name]
    assert found["worker"] == killed["holder"]
    assert killed["steps"][found["step"]]["state"] == found["step_state"]
    has_begun = bool(servers.fetch(written[1], "SELECT FROM pgmigrate.migration_run"))
    assert (found["target"] in ("changed", "migrated")) == has_begun
    assert any(command.startswith("to go back: ") for command in found["commands"]) == has_begun
    done = shell.run(*typed(found, "to go on: "))
    assert done.code == 0, done.text
    assert left(shell, config) is None and application.process() is not None


def test_a_procedure_at_work_is_shown_with_its_process(
    written: tuple[str, str], gated: Path, shell: Shell
) -> None:
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(gated))
        safety.until(is_waiting)
        found = left(shell, gated)
        text = safety.kill(process, signal.SIGINT)
    assert found is not None and found["at_work"] and found["commands"] == []
    assert f"process {process.pid} on " in found["worker"]
    assert (found["step"], found["step_state"]) == ("migrate", "running")
    # It was restored, and the application is started again.
    assert "restored to what it was before" in text and left(shell, gated) is None


def test_a_target_that_was_left_changed_is_shown(written: tuple[str, str], tmp_path: Path) -> None:
    servers.run_script(written[1], safety.REFUSING)
    procedure = {"stop": "true", "start": "true", "on_failure": "keep"}
    kept = safety.migration(written, tmp_path, procedure)
    report = kept.run_safely()
    assert report.status == "failed"
    status = kept.status()
    assert status.procedure is not None
    assert (status.procedure.outcome, status.procedure.target) == ("kept", "changed")
    assert status.procedure.application == "started"
    assert status.procedure.commands == (
        "to go on: run_safely(resume=True)",
        f"to go back: restore('{report.backup}')",
    )
    assert Status.from_mapping(status.to_dict()) == status
    kept.restore(status.procedure.backup or "")
    assert kept.status().procedure is None


# A restore by hand.


def test_a_restore_by_hand_is_refused_while_a_procedure_is_at_work(
    written: tuple[str, str], gated: Path, tmp_path: Path, shell: Shell
) -> None:
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(gated))
        safety.until(is_waiting)
        [backup] = (tmp_path / "backup").iterdir()
        moved = safety.migration(written, tmp_path, {})
        with pytest.raises(StateError, match="a safe procedure is active on this target") as error:
            moved.restore(backup)
        assert f"process {process.pid} on " in str(error.value)
        assert "nothing was restored" in str(error.value)
        refused = shell.run("restore", "--config", str(gated), str(backup), "--yes")
        assert refused.code == 1 and "a safe procedure is active" in refused.text
        safety.kill(process, signal.SIGINT)


def test_a_procedure_is_refused_while_a_restore_by_hand_is_at_work(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    servers.run_script(written[1], OWN)
    moved = safety.migration(written, tmp_path, application.procedure())
    config = safety.config_file(moved, tmp_path / "c.json")
    backup = moved.backup().path
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'own'::regclass"
    with psycopg.connect(written[1]) as reader:
        reader.execute("SELECT FROM own")
        first = shell.start_group("restore", "--config", str(config), backup, "--yes")
        safety.until(lambda: servers.fetch(written[1], waiting))
        second = shell.run("safe", "--config", str(config))
        third = shell.run("restore", "--config", str(config), backup, "--yes")
    assert second.code == 1, second.text
    assert "a restore of a backup is active on this target" in second.text
    assert f"process {first.pid} on " in second.text
    assert application.process() is not None
    assert third.code == 1 and "another restore of a backup is active" in third.text
    text = safety.ended(first)
    assert first.returncode == 0, text


@pytest.mark.parametrize("has_mirror", [True, False])
def test_after_a_restore_by_hand_the_journal_says_what_is_true(
    written: tuple[str, str],
    application: Application,
    gated: Path,
    tmp_path: Path,
    shell: Shell,
    *,
    has_mirror: bool,
) -> None:
    servers.run_script(written[1], OWN)
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(gated))
        safety.until(is_waiting)
        safety.kill(process)
    found = left(shell, gated)
    assert found is not None and found["target"] == "changed"
    command = typed(found, "to go back: ")
    state = [] if has_mirror else ["--state", str(tmp_path / "other.tsv")]
    assert shell.run(*command, *state, "--yes").code == 0
    after = left(shell, gated)
    assert after is not None
    assert (after["target"], after["outcome"]) == ("restored", "restored")
    assert (after["application"], after["stopped"]) == ("stopped", found["stopped"])
    assert application.process() is None
    assert [line for line in after["commands"] if "go back" in line] == []
    if has_mirror:
        assert safety.journal(tmp_path)["target_state"] == "restored"
    safety.config_file(safety.migration(written, tmp_path, application.procedure()), gated)
    done = shell.run("safe", "--config", str(gated))
    assert done.code == 0, done.text
    assert left(shell, gated) is None and application.process() is not None


def test_what_came_after_the_backup_is_known_after_a_restore_of_a_finished_procedure(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    servers.run_script(written[1], OWN)
    before = safety.contents(written[1])
    config = safety.config_file(
        safety.migration(written, tmp_path, application.procedure()), tmp_path / "c.json"
    )
    assert shell.run("safe", "--config", str(config)).code == 0
    [backup] = (tmp_path / "backup").iterdir()
    assert shell.run("restore", "--config", str(config), str(backup), "--yes").code == 0
    # In the backup the procedure had stopped the application, and was not at its end.
    assert left(shell, config) is None
    assert [each for each in safety.contents(written[1])[1] if each[0] != "pgmigrate"] == before[1]
    dry = shell.run("safe", "--config", str(config), "--dry-run")
    assert dry.code == 0 and "going on with" not in dry.text
    assert shell.run("safe", "--config", str(config)).code == 0
    assert left(shell, config) is None


def test_a_backup_of_a_changed_target_is_known_as_such(
    written: tuple[str, str], tmp_path: Path
) -> None:
    servers.run_script(written[1], safety.REFUSING)
    procedure = {"stop": "true", "start": "true", "on_failure": "keep"}
    kept = safety.migration(written, tmp_path, procedure)
    state = tmp_path / "state.tsv"
    assert kept.run_safely(state=state).status == "failed"
    changed = kept.backup().path
    servers.run_script(written[1], "ALTER TABLE settings DROP CONSTRAINT refused")
    kept.run_safely(state=state, resume=True).raise_for_failures()
    assert kept.status().procedure is None
    kept.restore(changed, state=state)
    left = kept.status().procedure
    assert left is not None and (left.target, left.outcome) == ("changed", "kept")
    assert safety.journal(tmp_path)["target_state"] == "changed"


def test_a_restore_by_hand_that_fails_leaves_the_journal(
    written: tuple[str, str], gated: Path, tmp_path: Path, shell: Shell
) -> None:
    with safety.closed_gate(written[0]) as is_waiting:
        process = shell.start_group("safe", "--config", str(gated))
        safety.until(is_waiting)
        safety.kill(process)
    before = left(shell, gated)
    with pytest.raises(BackupError):
        safety.migration(written, tmp_path, {}).restore(
            tmp_path / "none", state=tmp_path / "state.tsv"
        )
    assert left(shell, gated) == before


# Between the check and the restore.


def test_what_others_write_after_the_check_is_not_restored_away(
    written: tuple[str, str], tmp_path: Path
) -> None:
    servers.run_script(written[1], safety.REFUSING + OWN)

    def write(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("name"), event.get("state")) == (
            "procedure_step",
            "restore",
            "running",
        ):
            servers.run_script(written[1], "INSERT INTO own VALUES (2)")

    report = safety.migration(written, tmp_path, {"stop": "true"}).run_safely(on_event=write)
    assert (
        safety.states(report)["check_writers"] == "done"
        and safety.states(report)["restore"] == "failed"
    )
    assert (report.status, report.target) == ("not_restored", "not_restored")
    assert report.others == ("public.own: 1 row that the run did not write",)
    assert set(servers.fetch(written[1], "SELECT a FROM own")) == {(1,), (2,)}


def test_what_is_committed_while_the_restore_waits_for_its_locks_is_not_restored_away(
    written: tuple[str, str], tmp_path: Path
) -> None:
    servers.run_script(written[1], safety.REFUSING + OWN)
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'own'::regclass"
    writers: list[threading.Thread] = []

    def write(event: Mapping[str, Any]) -> None:
        if (event["event"], event.get("name"), event.get("state")) != (
            "procedure_step",
            "restore",
            "running",
        ):
            return
        writer = psycopg.connect(written[1])
        writer.execute("INSERT INTO own VALUES (2)")

        def commit() -> None:
            safety.until(lambda: servers.fetch(written[1], waiting))
            writer.commit()
            writer.close()

        writers.append(threading.Thread(target=commit))
        writers[0].start()

    report = safety.migration(written, tmp_path, {"stop": "true"}).run_safely(on_event=write)
    writers[0].join()
    assert report.status == "not_restored" and safety.states(report)["restore"] == "failed"
    assert any("public.own: 1 row" in line for line in report.others), report.others
    assert set(servers.fetch(written[1], "SELECT a FROM own")) == {(1,), (2,)}
