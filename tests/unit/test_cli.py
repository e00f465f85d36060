"""The command line by itself: options, exit codes, and what goes where.

A scripted core stands in for the jobs. Real migrations by the command line are tested elsewhere.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pgmigrate import Plan, SafetyReport, VerifyResult, _native
from pgmigrate._recorded import Request
from pgmigrate.cli import main
from pgmigrate.cli.safety import _code as code_of
from pgmigrate.errors import (
    ConnectError,
    InternalError,
    PgMigrateError,
    PreflightError,
    StateError,
    VerifyError,
    from_native,
)
from support.scripted_core import (
    SOURCE,
    TARGET,
    Core,
    report,
    some_plan,
    task_result,
    verification,
)

ENDPOINTS = ["--source", SOURCE, "--target", TARGET]
FINDING = {
    "check": "target_empty",
    "severity": "blocking",
    "object": "public.t",
    "message": "public.t differs",
    "remedy": "drop it",
}
STATUS = {
    "run": 1,
    "plan": "f00d",
    "consistent": None,
    "state": "interrupted",
    "active": False,
    "procedure": None,
    "tasks": {"done": 1, "running": 0, "failed": 0, "blocked": 0, "pending": 1},
    "rows_done": 1,
    "rows_total": 2,
    "bytes_done": 1,
    "bytes_total": 2,
    "seconds": 1.0,
    "seconds_left": None,
    "running": [],
    "failed": [],
    "findings": [],
}


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Core:
    core = Core()
    monkeypatch.setattr(_native, "start", core.start)
    monkeypatch.setattr(_native, "parse_plan", lambda text: {**some_plan().to_dict(), "text": text})
    monkeypatch.chdir(tmp_path)
    return core


@pytest.fixture
def several(core: Core) -> str:
    endpoints = {"source": SOURCE, "target": TARGET}
    entries = [{"name": "users", **endpoints}, {"name": "gateway", **endpoints}]
    Path("config.json").write_text(json.dumps({"migrations": entries}), encoding="utf-8")
    return "config.json"


def verbs(core: Core) -> list[str]:
    return [verb for verb, _, _ in core.calls]


# Usage.


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan"],
        ["plan", "--source", SOURCE],
        ["migrate", *ENDPOINTS, "--config", "config.yaml"],
        ["migrate", *ENDPOINTS, "--jobs", "0"],
        ["migrate", *ENDPOINTS, "--only", "users"],
        ["migrate", *ENDPOINTS, "--no-such-option"],
        ["plan", "--config", "missing.yaml"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_exits_2(
    core: Core, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert "rror: " in told.err
    assert told.out == ""
    assert core.calls == []


def test_every_problem_of_a_config_has_its_line(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.json").write_text('{"source": "dbname=a", "optoins": {}}', encoding="utf-8")
    assert main(["plan", "--config", "config.json"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)
    assert any("optoins" in line for line in lines)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"pgmigrate \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for command in (
        "plan", "migrate", "verify", "status", "preflight", "backup", "restore", "cleanup", "demo",
        "stop", "example-config",
    ):  # fmt: skip
        assert re.search(rf"^  {command} ", told, re.MULTILINE), command


# Plan and migrate.


def test_plan_writes_the_file_and_prints_the_summary(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(some_plan().to_dict())
    assert main(["plan", *ENDPOINTS]) == 0
    assert Path("plan.tsv").read_text(encoding="utf-8") == some_plan().text
    told = capsys.readouterr().out
    assert "not on the target:" in told
    assert told.endswith("written to plan.tsv\n")


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


def test_resume_with_a_plan_that_is_not_there_fails(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", *ENDPOINTS, "--resume", "--plan", "plan.tsv"]) == 1
    assert "error: plan file plan.tsv: No such file" in capsys.readouterr().err


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
        (PreflightError("no"), 3),
        (ConnectError("no"), 1),
        (from_native({"kind": "config", "message": "no", "problems": ["tables: none"]}), 2),
        (InternalError("no"), 1),
        (RuntimeError("a defect"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_exit_codes_of_migrate(
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
    core.will(StateError("a run is active"))
    core.will(report(task_result(1)))
    assert main(["migrate", "--config", several]) == 1
    files = [(settings["plan_file"], settings["state"]) for _, _, settings in core.calls]
    assert files == [
        ("plan-users.tsv", "state-users.tsv"),
        ("plan-gateway.tsv", "state-gateway.tsv"),
    ]
    told = capsys.readouterr()
    assert told.out.endswith("1 of 2 migrations done\n  users: failed\n  gateway: done\n")
    assert "error: a run is active" in told.err


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


def test_status_and_cleanup(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(STATUS)
    core.will({"dropped": ["SCHEMA pgmigrate"], "findings": []})
    assert main(["status", *ENDPOINTS]) == 0
    assert main(["cleanup", *ENDPOINTS]) == 0
    told = capsys.readouterr().out
    assert "run 1: interrupted" in told
    assert "dropped SCHEMA pgmigrate" in told


@pytest.mark.parametrize(
    ("stopped", "words"), [(True, "the run has stopped"), (False, "no run is active")]
)
def test_stop(core: Core, capsys: pytest.CaptureFixture[str], stopped: bool, words: str) -> None:
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
        raise StateError("it ends here")

    monkeypatch.setattr("pgmigrate.cli.safety.Procedure", procedure)
    assert main(["safe", "--config", several, "--only", "users"]) == 1
    (request,) = requests
    assert (request.plan_file, request.state) == ("plan-users.tsv", "state-users.tsv")
    assert request.words == "--config config.json --only users"
    assert request.files == "--plan plan.tsv --state state.tsv"


@pytest.mark.parametrize(
    ("status", "error", "verdict", "code"),
    [
        ("done", None, "equal", 0),
        ("done", None, "contains_source", 7),
        ("failed", VerifyError("rows differ"), "different", 4),
        ("failed", VerifyError("not all was compared"), "not_compared", 8),
        ("failed", VerifyError("the source was written to"), "equal", 4),
        ("failed", VerifyError("the source was written to"), None, 4),
        ("failed", ConnectError("it is gone"), "equal", 1),
        ("not_started", ConnectError("it is gone"), "equal", 5),
        ("not_restored", VerifyError("rows differ"), "different", 9),
        ("interrupted", None, None, 130),
    ],
)
def test_exit_codes_of_safe(
    status: str, error: PgMigrateError | None, verdict: str | None, code: int
) -> None:
    found = None
    if verdict is not None:
        found = VerifyResult.from_mapping(verification(verdict=verdict, equal=verdict == "equal"))
    fields: dict[str, Any] = dict.fromkeys(one.name for one in dataclasses.fields(SafetyReport))
    fields |= {"status": status, "error": error, "verification": found}
    assert code_of(SafetyReport(**fields)) == code


# What goes where.

CHATTY = [
    [
        {"event": "log", "level": "WARN", "message": "a slow server"},
        {"event": "log", "level": "INFO", "message": "a quiet word"},
        {"event": "found", **FINDING, "severity": "warning"},
    ]
]


def test_json_is_all_that_standard_output_gets(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(verification(), CHATTY)
    assert main(["verify", *ENDPOINTS, "--json", "--verbose"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == verification()
    assert "warning: a slow server" in told.err


def test_an_error_is_json_too(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(ConnectError("no answer", side="target", remedy="start it"))
    assert main(["status", *ENDPOINTS, "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["side"] == "target"
    assert told.err.splitlines() == ["error: no answer", "remedy: start it"]


def test_what_blocks_is_told_once_with_its_remedy(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"kind": "preflight", "message": "blocked: public.t differs", "findings": [FINDING]}
    core.will(from_native(error), [[{"event": "found", **FINDING}]])
    assert main(["verify", *ENDPOINTS, "--verbose"]) == 3
    assert capsys.readouterr().err == "error: public.t differs\nremedy: drop it\n"


def test_several_migrations_are_a_json_list(
    several: str, core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(STATUS)
    core.will(StateError("no"))
    assert main(["status", "--config", several, "--json"]) == 1
    users, gateway = json.loads(capsys.readouterr().out)
    assert users["name"] == "users"
    assert users["state"] == "interrupted"
    assert gateway["error"]["kind"] == "state"


@pytest.mark.parametrize("verbose", [False, True])
def test_the_console_shows_what_was_asked_for_and_the_file_everything(
    core: Core, verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(StateError("a run is active", remedy="wait"), CHATTY)
    assert main(["verify", *ENDPOINTS, *(["--verbose"] if verbose else [])]) == 1
    shown = capsys.readouterr().err
    logged = Path("pgmigrate.log").read_text(encoding="utf-8")
    assert "error: a run is active\nremedy: wait" in shown
    assert "ERROR a run is active; remedy: wait" in logged
    for words in ("a slow server", "a quiet word", "public.t differs"):
        assert (words in shown) is verbose
        assert words in logged


def test_neither_conninfo_nor_password_is_shown_or_logged(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(None, [KeyboardInterrupt()])
    main(["migrate", *ENDPOINTS, "--verbose", "--debug"])
    told = capsys.readouterr()
    for text in (told.out, told.err, Path("pgmigrate.log").read_text(encoding="utf-8")):
        for secret in ("hush", "old.example", "new.example"):
            assert secret not in text


def test_a_traceback_only_for_debug(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(StateError("no"))
    main(["verify", *ENDPOINTS, "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_a_directory_without_room_for_the_log_does_not_end_the_run(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pgmigrate.log").mkdir()
    core.will(verification())
    assert main(["verify", *ENDPOINTS]) == 0
    assert "no log file" in capsys.readouterr().err
