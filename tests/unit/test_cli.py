"""The command line by itself: options, exit codes, what goes where, and the display of progress.

A scripted core stands in for the jobs. Real migrations by the command line are tested elsewhere.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pgmigrate import Plan, _native
from pgmigrate.cli import main
from pgmigrate.errors import ConnectError, InternalError, PreflightError, StateError, from_native
from pgmigrate.progress import BarProgress, LineProgress, progress
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
    "tasks": {"done": 1, "running": 0, "failed": 0, "blocked": 0, "pending": 1},
    "rows_done": 1,
    "rows_total": 2,
    "bytes_done": 1,
    "bytes_total": 2,
    "seconds": 1.0,
    "seconds_left": None,
    "running": [],
    "failed": [],
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


def test_resume_reads_the_plan_and_never_writes_it(core: Core) -> None:
    Path("plan.tsv").write_text("as it was\n", encoding="utf-8")
    core.will(report(task_result(1)))
    assert main(["migrate", *ENDPOINTS, "--resume"]) == 0
    assert verbs(core) == ["run"]
    assert core.calls[0][2]["plan"] == "as it was\n"
    assert core.calls[0][2]["resume"] is True
    assert Path("plan.tsv").read_text(encoding="utf-8") == "as it was\n"


def test_resume_without_a_plan_fails(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", *ENDPOINTS, "--resume"]) == 1
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
    core.will(None, [KeyboardInterrupt()])
    assert main(["migrate", "--config", several, "--only", "users"]) == 130
    assert core.jobs[0].stopped == 1
    again = "pgmigrate migrate --config config.json --only users --plan plan.tsv --state state.tsv"
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


def test_verify_exits_4_on_a_difference(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(verification())
    core.will(verification(equal=False))
    assert main(["verify", *ENDPOINTS]) == 0
    assert main(["verify", *ENDPOINTS]) == 4
    assert "NOT EQUAL" in capsys.readouterr().out


def test_preflight_exits_3_on_a_blocking_finding(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will({"findings": [FINDING], "checks": []})
    assert main(["preflight", *ENDPOINTS]) == 3
    assert "remedy: drop it" in capsys.readouterr().out


def test_status_and_cleanup(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(STATUS)
    core.will({"dropped": ["SCHEMA pgmigrate"]})
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
    core.will({"path": "b.dump", "entries": 3, "seconds": 1.0, "message": "3 objects restored"})
    assert main(["restore", "b.dump", *ENDPOINTS, "--yes"]) == 0
    assert "3 objects restored" in capsys.readouterr().out


def test_restore_wants_one_target(several: str, core: Core) -> None:
    assert main(["restore", "b.dump", "--config", several, "--yes"]) == 2


def test_backup_names_its_file(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will({"path": "d/x.dump", "bytes": 10, "seconds": 1.0, "entries": 3})
    assert main(["backup", *ENDPOINTS, "--directory", "d"]) == 0
    assert core.calls[0][2] == {"directory": "d"}
    assert "d/x.dump" in capsys.readouterr().out


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


# Progress.


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started() -> dict[str, Any]:
    return {
        "event": "run_started",
        "run": 3,
        "tasks": 21,
        "done": 4,
        "jobs": 2,
        "phases": [
            {"phase": "roles", "tasks": 0, "rows": 0, "bytes": 0},
            {"phase": "pre-data", "tasks": 1, "rows": 0, "bytes": 0},
            {"phase": "data", "tasks": 20, "rows": 2000, "bytes": 204800},
        ],
    }


def of_task(event: str, number: int, phase: str = "data", **changes: Any) -> dict[str, Any]:
    return {
        "event": event,
        "task": f"t{number}",
        "phase": phase,
        "kind": "data",
        "object": "public.t",
        "worker": 0,
        "rows": 0,
        "bytes": 0,
        "status": "done",
        "seconds": 1.0,
        "note": "",
        **changes,
    }


def test_lines_are_few_and_tell_rows_bytes_rate_and_time_left() -> None:
    clock, out = Clock(), io.StringIO()
    with LineProgress(Console(file=out, width=200), clock) as show:
        show({"event": "step_finished", "step": "connect", "seconds": 0.2})
        show({"event": "step_finished", "step": "plan", "seconds": 1.5})
        show(started())
        show(of_task("task_started", 0, "pre-data"))
        show(of_task("task_finished", 0, "pre-data"))
        for number in range(1, 21):
            show(of_task("task_started", number))
            for part in range(10):
                clock.now += 0.1
                show(of_task("task_progress", number, rows=part * 10, bytes=part * 1024))
            show(of_task("task_finished", number, rows=100, bytes=10240))
    lines = out.getvalue().splitlines()
    assert lines[:3] == [
        "plan: done in 1.5 s",
        "run 3: 21 tasks, 4 done before, 2 at once",
        "pre-data: 100%, 1/1 tasks",
    ]
    assert lines[3].startswith("data: 2")
    assert re.search(r"\d rows, .* kB, .* kB/s, \d+ s left$", lines[3])
    assert lines[-1] == "data: 100%, 20/20 tasks, 2,000 rows, 200.0 kB, 10.0 kB/s"
    assert len(lines) == 3 + 4


def test_a_retried_task_counts_anew() -> None:
    clock, out = Clock(), io.StringIO()
    show = LineProgress(Console(file=out, width=200), clock)
    show(started())
    show(of_task("task_started", 1))
    show(of_task("task_progress", 1, rows=90, bytes=900))
    show({"event": "task_retried", "task": "t1", "attempt": 1, "reason": "connection lost"})
    clock.now = 61.0
    show(of_task("task_progress", 1, rows=20, bytes=200))
    assert "20 rows, 200 B" in out.getvalue()


def test_bars_on_a_terminal_and_lines_elsewhere() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=160)
    assert isinstance(progress(terminal), BarProgress)
    assert isinstance(progress(Console(file=io.StringIO())), LineProgress)


def test_bars_show_each_phase_and_the_total() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160)
    with BarProgress(console, Clock()) as show:
        show({"event": "step_started", "step": "preflight"})
        show({"event": "step_finished", "step": "preflight", "seconds": 2.0})
        show(started())
        show(of_task("task_started", 1))
        show(of_task("task_progress", 1, rows=50, bytes=5120))
        show(of_task("task_finished", 1, rows=100, bytes=10240, status="failed"))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "preflight: done in 2.0 s" in shown
    assert "roles" not in shown
    last = shown.rsplit("pre-data", 1)[1]
    assert re.search(r"data +[━╺]+ +5% 100 rows, 10\.0 kB, 1 failed", last)
    assert "total" in last


def test_the_plan_of_a_file_is_that_of_the_command(core: Core) -> None:
    core.will(some_plan().to_dict())
    main(["plan", *ENDPOINTS])
    assert Plan.load("plan.tsv") == some_plan()
