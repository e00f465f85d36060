"""The command line by itself: what goes to standard output, standard error and the log.

A scripted core stands in for the jobs. Real migrations by the command line are tested elsewhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pgmigrate import Report
from pgmigrate._values.humanize import fitted_to
from pgmigrate.cli import main
from pgmigrate.errors import (
    ConnectError,
    StateError,
    from_native,
)
from support.command_line import ENDPOINTS, FINDING, STATUS
from support.scripted_core import (
    Core,
    report,
    task_result,
    verification,
)

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
    captured = capsys.readouterr()
    assert json.loads(captured.out) == verification()
    assert "warning: a slow server" in captured.err


def test_an_error_is_json_too(core: Core, capsys: pytest.CaptureFixture[str]) -> None:
    core.will(ConnectError("no answer", side="target", remedy="start it"))
    assert main(["status", *ENDPOINTS, "--json"]) == 10
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["side"] == "target"
    assert captured.err.splitlines() == ["error: no answer", "remedy: start it"]


def test_what_blocks_is_reported_once_with_its_remedy(
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
    assert "ERROR a run is active [state]; remedy: wait" in logged
    for words in ("a slow server", "a quiet word", "public.t differs"):
        assert (words in shown) is verbose
        assert words in logged


def test_neither_conninfo_nor_password_is_shown_or_logged(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(None, [KeyboardInterrupt()])
    main(["migrate", *ENDPOINTS, "--verbose", "--debug"])
    captured = capsys.readouterr()
    for text in (captured.out, captured.err, Path("pgmigrate.log").read_text(encoding="utf-8")):
        for secret in ("hush", "old.example", "new.example"):
            assert secret not in text


def test_what_failed_and_the_next_command_end_a_failed_run(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [task_result(number, status="failed", note="no") for number in range(1, 6)]
    tasks.append(task_result(6, status="blocked"))
    core.will(report(*tasks, status="failed", run_state="failed"))
    plain = ["--source", "service=old", "--target", "host=new user=o"]
    assert main(["migrate", *plain, "-t", "a.b", "-j", "2", "--verify", "-q"]) == 1
    last = capsys.readouterr().err.splitlines()[-2:]
    named = "public.t1 (data), public.t2 (data), public.t3 (data), and 2 more"
    assert last[0] == f"failed: {named}; 1 task not tried"
    assert last[1] == (
        "remove the cause, then go on: pgmigrate migrate --source service=old "
        "--target 'host=new user=o' --table a.b --quiet --state state.tsv --jobs 2 --verify "
        "--resume"
    )


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("interrupted", 0), ("done", 0)])
def test_the_status_of_a_failed_run_is_not_0(core: Core, state: str, code: int) -> None:
    core.will({**STATUS, "state": state})
    assert main(["status", *ENDPOINTS]) == code


def test_several_migrations_are_summed_up_by_their_own_states(
    several: str, core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(STATUS)
    core.will({**STATUS, "run": 4, "state": "done", "active": True})
    assert main(["status", "--config", several]) == 0
    summary = capsys.readouterr().out.splitlines()[-3:]
    at_work = "run 4 done, a process is active"
    assert summary == ["2 migrations:", "  users: run 1 interrupted", f"  gateway: {at_work}"]
    core.will({"findings": [FINDING], "checks": []})
    core.will({"findings": [], "checks": []})
    assert main(["preflight", "--config", several]) == 3
    summary = capsys.readouterr().out.splitlines()[-3:]
    assert summary == ["2 migrations:", "  users: 1 blocking", "  gateway: nothing found"]


def test_the_log_has_a_head_an_end_and_utc_offsets(core: Core) -> None:
    core.will(verification(), CHATTY)
    assert main(["verify", *ENDPOINTS, "--log", "l.txt", "-j", "2"]) == 0
    core.will(ConnectError("no answer", remedy="start it"), CHATTY)
    assert main(["verify", *ENDPOINTS, "--log", "l.json", "--log-format", "json"]) == 10
    assert not Path("pgmigrate.log").exists()
    lines = Path("l.txt").read_text(encoding="utf-8").splitlines()
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
    assert all(re.match(f"{moment} (INFO|WARNING) ", line) for line in lines)
    command = "pgmigrate verify --source ... --target ... --log l.txt --jobs 2"
    assert re.search(rf"pgmigrate [\d.]+, Python [\d.]+, .*: {command}$", lines[0])
    assert re.search(r" INFO exit code 0 after \d", lines[-1])
    records = list(map(json.loads, Path("l.json").read_text(encoding="utf-8").splitlines()))
    assert all(re.fullmatch(moment, record["time"]) for record in records)
    errors = [record for record in records if record["level"] == "ERROR"]
    assert [(one["message"], one["remedy"]) for one in errors] == [("no answer", "start it")]
    assert records[-1]["message"].startswith("exit code 10 after ")


def test_quiet_shows_results_and_errors_alone(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    core.will(verification(), CHATTY)
    assert main(["verify", *ENDPOINTS, "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.startswith("verification: equal")


@pytest.mark.parametrize("width", [60, 120])
def test_text_fits_the_terminal(width: int) -> None:
    words = "public.some_table: data failed (t0001): " + "a reason of several words " * 8
    command = (
        "to go on: pgmigrate migrate --source service=old --target service=new --resume --json"
    )
    table = Report.from_mapping(report(task_result(1))).text().splitlines()[1:3]
    wide = [f"{line}  {'x' * 12}  {'y' * 12}" for line in table]
    lines = fitted_to("\n".join([words, command, *wide, "", "end"]), width).splitlines()
    assert all(len(line) <= width for line in lines if line != command)
    assert command in lines and lines[-2:] == ["", "end"]
    assert " ".join(words.split()) in " ".join(" ".join(lines).split())
    assert any(line.startswith("phase  tasks  done") for line in lines)


def test_wide_gaps_alone_make_no_table() -> None:
    table = Report.from_mapping(report(task_result(1))).text().splitlines()[1:3]
    message = "public.t: check (t12): pg_dump: error: query failed: ERROR:  permission denied for t"
    for lines in ([message], [message, message.replace("t12", "t13 and more")], [*table, message]):
        shown = fitted_to("\n".join(lines), 40)
        words = " ".join(shown.split())
        assert words.count("permission denied for t") == sum(message[:10] in it for it in lines)
        assert all(len(line) <= 40 for line in shown.splitlines())


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
