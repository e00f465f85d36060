"""The command line by itself: options, exit codes, and what each command asks the core for.

A scripted core stands in for the jobs. Real migrations by the command line are tested elsewhere.
"""

from __future__ import annotations

import dataclasses
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from pgmigrate import Plan, SafetyReport, VerifyResult, _native, errors
from pgmigrate._procedure.recorded import Request
from pgmigrate.cli import main
from pgmigrate.cli.safety import _code as code_of
from support.command_line import ENDPOINTS, FINDING, STATUS, verbs
from support.scripted_core import (
    TARGET,
    Core,
    report,
    some_plan,
    task_result,
    verification,
)

# Plan and migrate.


def test_plan_writes_the_file_and_prints_the_summary(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(some_plan().to_dict())
    assert main(["plan", *ENDPOINTS]) == 0
    assert Path("plan.tsv").read_text(encoding="utf-8") == some_plan().text
    captured = capsys.readouterr().out
    assert "not on the target:" in captured
    assert captured.endswith("written to plan.tsv\n")


def test_migrate_has_the_core_write_the_plan(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(report(task_result(1)))
    flags = ["--jobs", "2", "--backup", "--not-consistent", "--plan", "p.tsv", "--state", "s.tsv"]
    assert main(["migrate", *ENDPOINTS, *flags]) == 0
    assert core.calls[0][2] == {
        "plan_file": "p.tsv",
        "resume": False,
        "jobs": 2,
        "state": "s.tsv",
        "dry_run": False,
        "backup": True,
        "consistent": False,
    }
    assert "run 1 done" in capsys.readouterr().out


def test_resume_reads_the_plan_that_is_named_and_never_writes_it(core: Core) -> None:
    Path("plan.tsv").write_text("as it was\n", encoding="utf-8")
    core.will(report(task_result(1)))
    assert main(["migrate", *ENDPOINTS, "--resume", "--plan", "plan.tsv"]) == 0
    assert verbs(core) == ["run"]
    assert core.calls[0][2]["plan"] == "as it was\n"
    assert core.calls[0][2]["resume"] is True
    assert Path("plan.tsv").read_text(encoding="utf-8") == "as it was\n"


def test_resume_without_a_named_plan_leaves_it_to_the_ledger(core: Core) -> None:
    Path("plan.tsv").write_text("of another run\n", encoding="utf-8")
    core.will(report(task_result(1)))
    assert main(["migrate", *ENDPOINTS, "--resume"]) == 0
    assert "plan" not in core.calls[0][2] or core.calls[0][2]["plan"] is None


def test_resume_with_a_plan_that_is_not_there_leaves_it_to_the_core(core: Core) -> None:
    # The run may have been killed before the file was written.
    core.will(report(task_result(1)))
    assert main(["migrate", *ENDPOINTS, "--resume", "--plan", "plan.tsv"]) == 0
    settings = core.calls[0][2]
    assert (settings["resume"], settings["plan_file"]) == (True, "plan.tsv")
    assert "plan" not in settings


def test_a_plan_that_is_named_and_there_is_run_and_not_written(core: Core) -> None:
    Path("p.tsv").write_text("as it was\n", encoding="utf-8")
    for _ in range(3):
        core.will(report(task_result(1)))
    assert main(["migrate", *ENDPOINTS, "--plan", "p.tsv"]) == 0
    assert main(["migrate", *ENDPOINTS, "--plan", "p.tsv", "--accept-drift"]) == 0
    assert main(["migrate", *ENDPOINTS, "--plan", "p.tsv", "--replan"]) == 0
    run, accepting, replanning = (settings for _, _, settings in core.calls)
    assert (run["plan"], run["on_drift"]) == ("as it was\n", "refuse")
    assert accepting["plan"] == "as it was\n" and "on_drift" not in accepting
    assert "plan" not in replanning and replanning["plan_file"] == "p.tsv"
    assert Path("p.tsv").read_text(encoding="utf-8") == "as it was\n"


def test_a_plan_that_differs_stops_with_the_commands_to_go_on(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p.tsv").write_text("as it was\n", encoding="utf-8")
    problems = [f"public.t{number}: added (table)" for number in range(30)]
    core.will(errors.from_native({"kind": "drift", "message": "no", "problems": problems}))
    assert main(["migrate", *ENDPOINTS, "-j", "3", "--plan", "p.tsv", "--verify"]) == 11
    captured = capsys.readouterr().err
    assert "error: public.t0: added (table)\n" in captured and "error: and 10 more" in captured
    again = "pgmigrate migrate --source ... --target ... --plan p.tsv --jobs 3 --verify"
    assert f"to make a new plan and run it: {again} --replan\n" in captured
    assert (
        f"to run the plan as it is, where only objects differ: {again} --accept-drift\n" in captured
    )
    assert "pgmigrate plan --source ... --target ... --plan p.tsv --diff\n" in captured


def test_a_new_plan_that_replaces_another_one_is_not_silent(
    core: Core, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("plan.tsv").write_text("as it was\n", encoding="utf-8")

    def start(*given: Any) -> Any:
        Path("plan.tsv").write_text("another\n", encoding="utf-8")
        return core.start(*given)

    monkeypatch.setattr(_native, "start", start)
    for _ in range(2):
        core.will(report(task_result(1)))
        assert main(["migrate", *ENDPOINTS]) == 0
    assert capsys.readouterr().out.count("plan.tsv held another plan") == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--replan", "--accept-drift", "--plan", "p.tsv"],
        ["--replan", "--resume"],
        ["--accept-drift"],
    ],
)
def test_flags_about_the_plan_exclude_each_other(core: Core, flags: list[str]) -> None:
    assert main(["migrate", *ENDPOINTS, *flags]) == 2
    assert core.calls == []


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        ({"basis": [], "changes": [], "resized": ["public.t"]}, 0, "plan: no difference\n"),
        (
            {
                "basis": ["options.format: auto in the plan, text now"],
                "changes": [{"object": "public.t", "kind": "table", "change": "added"}],
                "resized": [],
            },
            11,
            "  public.t: added (table)\n",
        ),
    ],
)
def test_plan_diff_compares_and_writes_nothing(
    core: Core,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: dict[str, Any],
    code: int,
    words: str,
) -> None:
    monkeypatch.setattr(_native, "plan_difference", lambda kept, now: found)
    Path("plan.tsv").write_text("as it was\n", encoding="utf-8")
    core.will(some_plan().to_dict())
    assert main(["plan", *ENDPOINTS, "--diff"]) == code
    assert words in capsys.readouterr().out
    assert Path("plan.tsv").read_text(encoding="utf-8") == "as it was\n"
    core.will(some_plan().to_dict())
    assert main(["plan", *ENDPOINTS, "--diff", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == found


def test_the_plan_of_an_unfinished_run_is_not_overwritten(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("plan.tsv").write_text("as it was\n", encoding="utf-8")
    core.will(some_plan().to_dict())
    core.will(STATUS)
    assert main(["plan", *ENDPOINTS]) == 1
    assert Path("plan.tsv").read_text(encoding="utf-8") == "as it was\n"
    assert "--resume" in capsys.readouterr().err


def test_the_plan_of_a_file_is_that_of_the_command(core: Core) -> None:
    core.will(some_plan().to_dict())
    main(["plan", *ENDPOINTS])
    assert Plan.load("plan.tsv") == some_plan()


def test_a_dry_run_prints_the_summary(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    some_plan().save("plan.tsv")
    core.will(report(status="dry_run"))
    assert main(["migrate", *ENDPOINTS, "--dry-run"]) == 0
    assert core.calls[0][2]["dry_run"] is True
    assert "pre-data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (report(task_result(1)), 0),
        (report(task_result(1, status="failed", note="no"), status="failed"), 1),
        (report(verification=verification(equal=False)), 4),
        (report(verification=verification(verdict="contains_source", equal=False)), 7),
        (report(verification=verification(verdict="not_compared", equal=False)), 8),
        (report(status="interrupted"), 130),
        (errors.PreflightError("no"), 3),
        (errors.ConnectError("no"), 10),
        (errors.DriftError("no"), 11),
        (errors.from_native({"kind": "config", "message": "no", "problems": ["tables: none"]}), 2),
        (errors.InternalError("no"), 1),
        (RuntimeError("a defect"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_migrate_ends_with_the_code_of_its_outcome(
    core: Core, result: Any, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(result)
    assert main(["migrate", *ENDPOINTS]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_resume(
    several: str, core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(
        report(task_result(1), status="interrupted", run_state="interrupted"), [KeyboardInterrupt()]
    )
    assert main(["migrate", "--config", several, "--only", "users"]) == 130
    assert core.jobs[0].stopped == 1
    again = "pgmigrate migrate --config config.json --only users --state state.tsv"
    assert f"{again} --resume" in capsys.readouterr().err


def test_several_migrations_have_files_of_their_own(
    several: str, core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(errors.StateError("a run is active"))
    core.will(report(task_result(1)))
    assert main(["migrate", "--config", several]) == 1
    files = [(settings["plan_file"], settings["state"]) for _, _, settings in core.calls]
    assert files == [
        ("plan-users.tsv", "state-users.tsv"),
        ("plan-gateway.tsv", "state-gateway.tsv"),
    ]
    captured = capsys.readouterr()
    assert captured.out.endswith("1 of 2 migrations done\n  users: failed\n  gateway: done\n")
    assert "error: a run is active" in captured.err


# The other commands.


def test_verify_exits_by_its_verdict(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    for verdict, code, words in (
        ("equal", 0, "verification: equal"),
        ("different", 4, "NOT EQUAL"),
        ("contains_source", 7, "the target contains the source and 0 more rows"),
        ("not_compared", 8, "NOT ALL COMPARED"),
    ):
        core.will(verification(verdict=verdict, equal=verdict == "equal"))
        assert main(["verify", *ENDPOINTS]) == code
        assert words in capsys.readouterr().out


def test_preflight_exits_3_on_a_blocking_finding(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will({"findings": [FINDING], "checks": []})
    assert main(["preflight", *ENDPOINTS]) == 3
    assert "remedy: drop it" in capsys.readouterr().out


def test_status_and_cleanup_print_what_they_found(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(STATUS)
    core.will({"dropped": ["SCHEMA pgmigrate"], "findings": []})
    assert main(["status", *ENDPOINTS]) == 0
    assert main(["cleanup", *ENDPOINTS]) == 0
    captured = capsys.readouterr().out
    assert "run 1: interrupted" in captured
    assert "to go on: pgmigrate migrate --source ... --target ... --resume" in captured
    assert "dropped SCHEMA pgmigrate" in captured


@pytest.mark.parametrize(
    ("stopped", "words"), [(True, "the run has stopped"), (False, "no run is active")]
)
def test_stop_says_whether_a_run_was_stopped(
    core: Core, capsys: pytest.CaptureFixture[str], stopped: bool, words: str
) -> None:
    core.will({"stopped": stopped})
    assert main(["stop", *ENDPOINTS]) == 0
    assert words in capsys.readouterr().out
    assert core.calls[0][0] == "stop"


def test_restore_asks_first(
    core: Core, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["restore", "b.dump", *ENDPOINTS]) == 1
    assert core.calls == []
    restored = {"path": "b.dump", "entries": 3, "seconds": 1.0, "message": "3 objects restored"}
    core.will_restore(restored)
    assert main(["restore", "b.dump", *ENDPOINTS, "--yes"]) == 0
    assert "3 objects restored" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["", "interrupt"], ids=["end of input", "Ctrl-C"])
def test_no_answer_to_restore_is_an_interruption_and_the_question_names_the_target(
    core: Core,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    class Interrupting(io.StringIO):
        def readline(self, size: int | None = -1, /) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupting() if answer else io.StringIO())
    assert main(["restore", "b.dump", "--target", TARGET]) == 130
    captured = capsys.readouterr()
    assert "Restore b.dump into the target new.example:5432/shop" in captured.err
    assert "interrupted; nothing was restored" in captured.err
    assert "hush" not in captured.err + captured.out
    assert core.calls == []


def test_restore_wants_one_target(several: str, core: Core) -> None:
    assert main(["restore", "b.dump", "--config", several, "--yes"]) == 2


def test_backup_names_its_file(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will({"path": "d/x.dump", "bytes": 10, "seconds": 1.0, "entries": 3})
    assert main(["backup", *ENDPOINTS, "--directory", "d"]) == 0
    assert core.calls[0][2] == {"directory": "d"}
    assert "d/x.dump" in capsys.readouterr().out


def test_safe_names_its_files_as_migrate_does_and_its_hint_as_they_were_given(
    several: str, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []

    def procedure(_: object, request: Request, __: object) -> None:
        requests.append(request)
        raise errors.StateError("it ends here")

    monkeypatch.setattr("pgmigrate.cli.safety.Procedure", procedure)
    assert main(["safe", "--config", several, "--only", "users"]) == 1
    assert main(["safe", "--config", several, "--only", "users", "-j", "3"]) == 1
    request, other = requests
    assert other.files == "--plan plan.tsv --state state.tsv --jobs 3"
    assert (request.plan_file, request.state) == ("plan-users.tsv", "state-users.tsv")
    assert request.words == "--config config.json --only users"
    assert request.files == "--plan plan.tsv --state state.tsv"


@pytest.mark.parametrize(
    ("status", "error", "verdict", "code"),
    [
        ("done", None, "equal", 0),
        ("done", None, "contains_source", 7),
        ("failed", errors.VerifyError("rows differ"), "different", 4),
        ("failed", errors.VerifyError("not all was compared"), "not_compared", 8),
        ("failed", errors.VerifyError("the source was written to"), "equal", 4),
        ("failed", errors.VerifyError("the source was written to"), None, 4),
        ("failed", errors.ConnectError("it is gone"), "equal", 10),
        ("not_started", errors.ConnectError("it is gone"), "equal", 5),
        ("not_restored", errors.VerifyError("rows differ"), "different", 9),
        ("interrupted", None, None, 130),
    ],
)
def test_safe_ends_with_the_code_of_its_outcome(
    status: str, error: errors.PgMigrateError | None, verdict: str | None, code: int
) -> None:
    found = None
    if verdict is not None:
        found = VerifyResult.from_mapping(verification(verdict=verdict, equal=verdict == "equal"))
    fields: dict[str, Any] = dict.fromkeys(one.name for one in dataclasses.fields(SafetyReport))
    fields |= {"status": status, "error": error, "verification": found}
    assert code_of(SafetyReport(**fields)) == code


# A restore that is interrupted.


RESTORED = {"path": "b.dump", "entries": 3, "seconds": 1.0, "message": "3 objects restored"}
LOCK, BEFORE, WORK, AFTER = range(4)


@pytest.mark.parametrize(
    ("job", "moment", "result", "code", "words"),
    [
        (LOCK, "at work", RESTORED, 130, "interrupted; nothing was restored"),
        (BEFORE, "at work", RESTORED, 130, "interrupted; nothing was restored"),
        (BEFORE, "result", RESTORED, 130, "interrupted; nothing was restored"),
        (WORK, "start", RESTORED, 130, "it is not known whether the target was restored"),
        (
            WORK,
            "at work",
            errors.InterruptedRunError("no"),
            130,
            "interrupted; nothing was restored",
        ),
        (WORK, "at work", errors.BackupError("the answer was lost"), 1, "the answer was lost"),
        (WORK, "at work", RESTORED, 0, "3 objects restored"),
        (WORK, "twice", RESTORED, 0, "3 objects restored"),
        (WORK, "result", RESTORED, 0, "3 objects restored"),
        (WORK, "result", errors.BackupError("the answer was lost"), 1, "the answer was lost"),
        (AFTER, "start", RESTORED, 0, "3 objects restored"),
        (AFTER, "at work", RESTORED, 0, "3 objects restored"),
        (AFTER, "twice", RESTORED, 0, "3 objects restored"),
        (AFTER, "result", RESTORED, 0, "3 objects restored"),
        (LOCK, "release", RESTORED, 0, "3 objects restored"),
        (LOCK, "release", errors.BackupError("the answer was lost"), 1, "the answer was lost"),
    ],
)
def test_an_interrupted_restore_says_what_became_of_the_target(
    core: Core,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    job: int,
    moment: str,
    result: Any,
    code: int,
    words: str,
) -> None:
    core.will_restore(result)
    interrupted = core.jobs[job]
    if moment in ("at work", "twice"):
        interrupted.batches.insert(0, KeyboardInterrupt())
    if moment == "twice":
        interrupted.batches.insert(0, KeyboardInterrupt())
    if moment in ("twice", "release"):
        interrupted.while_stopping = [KeyboardInterrupt()]
    if moment == "result":
        taken = interrupted.result

        def interrupting() -> Any:
            # The core gives a result once.
            monkeypatch.setattr(interrupted, "result", None)
            signal.raise_signal(signal.SIGINT)
            return taken()

        monkeypatch.setattr(interrupted, "result", interrupting)
    if moment == "start":
        begin = core.start

        def start(*given: Any) -> Any:
            if len(core.calls) == job:
                raise KeyboardInterrupt
            return begin(*given)

        monkeypatch.setattr(_native, "start", start)
    assert main(["restore", "b.dump", *ENDPOINTS, "--yes"]) == code
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert words in shown
    others = {"nothing was restored", "not known whether", "3 objects restored"}
    assert [one for one in others if one in shown and one not in words] == []
