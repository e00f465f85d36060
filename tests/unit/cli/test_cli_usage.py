"""The command line by itself: its options, and mistakes in them.

A scripted core stands in for the jobs. Real migrations by the command line are tested elsewhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pgmigrate.cli import main
from support.command_line import ENDPOINTS, STATUS
from support.scripted_core import (
    SOURCE,
    TARGET,
    Core,
    report,
    task_result,
)


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
    captured = capsys.readouterr()
    assert "rror: " in captured.err
    assert captured.out == ""
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


def test_mistakes_on_the_command_line_look_like_all_errors(
    core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (["migrate", "--no-such-option"], "no such option"),
        (["migrate", *ENDPOINTS, "-j", "0"], "invalid value for '-j' / '--jobs'"),
        (["migrate", *ENDPOINTS, "--only", "x"], "--only chooses among the migrations"),
        (["no-such-command"], "no such command 'no-such-command'"),
    ):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        lines = captured.err.splitlines()
        assert lines[0].startswith(f"error: {words}"), lines
        assert lines[1].startswith("remedy: `pgmigrate") and len(lines) == 2
        assert main([*arguments, "--json"]) == 2
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["message"].startswith(words)


def test_short_options_mean_their_long_ones(core: Core) -> None:
    core.will(report(task_result(1)))
    flags = "-j 3 -n app -N old -t app.t -T app.u -q"
    assert main(["migrate", *ENDPOINTS, *flags.split()]) == 0
    _, options, settings = core.calls[0]
    assert settings["jobs"] == 3
    assert options["schemas"] == {"mode": "include", "include": ["app"], "exclude": ["old"]}
    assert options["tables"] == {"mode": "include", "include": ["app.t"], "exclude": ["app.u"]}
    core.will(report(task_result(1)))
    assert main(["migrate", *ENDPOINTS, "--exclude-schema", "old"]) == 0
    assert core.calls[1][1]["schemas"] == {"mode": "all", "exclude": ["old"]}


def test_the_environment_names_both_databases_and_is_never_shown(
    core: Core, several: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGMIGRATE_SOURCE", SOURCE)
    monkeypatch.setenv("PGMIGRATE_TARGET", TARGET)
    failed = task_result(1, status="failed", note="no")
    core.will(report(failed, status="failed", run_state="failed"))
    assert main(["migrate", "--debug", "--verify"]) == 1
    assert (core.calls[0][1]["source"], core.calls[0][1]["target"]) == (SOURCE, TARGET)
    captured = capsys.readouterr()
    assert "go on: pgmigrate migrate --debug --state state.tsv --verify --resume\n" in captured.err
    assert main(["migrate", "--help"]) == 0
    reported_help = capsys.readouterr().out
    assert "env var: PGMIGRATE_SOURCE" in " ".join(reported_help.split())
    for text in (
        captured.out,
        captured.err,
        reported_help,
        Path("pgmigrate.log").read_text(encoding="utf-8"),
    ):
        assert "hush" not in text and "old.example" not in text.replace(
            "old.example:5432/shop -> new.example:5432/shop", ""
        )
    # A config file says where they are.
    core.will(STATUS)
    assert main(["status", "--config", several, "--only", "users"]) == 0


@pytest.mark.parametrize("command", ["status", "stop", "cleanup", "backup", "restore"])
def test_what_opens_the_target_alone_needs_no_source(core: Core, command: str) -> None:
    more = ["b.dump", "--yes"] if command == "restore" else []
    if command == "restore":
        restored = {"path": "b.dump", "entries": 3, "seconds": 1.0, "message": "restored"}
        core.will_restore(restored)
    core.will(
        {
            "status": STATUS,
            "stop": {"stopped": True},
            "cleanup": {"dropped": [], "findings": []},
            "backup": {"path": "x.dump", "bytes": 1, "seconds": 1.0, "entries": 3},
        }.get(command)
    )
    assert main([command, *more, "--target", TARGET]) == 0
    assert {options["target"] for _, options, _ in core.calls} == {TARGET}
    assert main([command, *more, "--source", SOURCE]) == 2


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"pgmigrate \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    captured = capsys.readouterr().out
    for command in (
        "plan", "migrate", "verify", "status", "preflight", "backup", "restore", "cleanup", "demo",
        "stop", "example-config",
    ):  # fmt: skip
        assert re.search(rf"^  {command} ", captured, re.MULTILINE), command
