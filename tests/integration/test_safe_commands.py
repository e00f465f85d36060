"""The commands of the safe procedure: how they are run, ended, logged and hidden.

docker and systemd are not to be had in tests; programs of their names stand in for them and write
down what they were called with.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgmigrate import CommandError, SafetyReport
from support import servers
from support.config_keys import shows
from support.processes import is_there
from support.safety import config_file, migration, states
from support.shell import Shell


def stopping(one_row: tuple[str, str], folder: Path, stop: object, **keys: Any) -> SafetyReport:
    """A procedure whose second command fails, so that it ends there."""
    procedure = {"stop": [stop, ["false"]], "cwd": str(folder), "start_on_failure": False, **keys}
    return migration(one_row, folder, procedure).run_safely()


def head(one_row: tuple[str, str]) -> str:
    """The beginning of a config file."""
    return f'source: "{one_row[0]}"\ntarget: "{one_row[1]}"\nroles: none\n'


@shows("procedure.timeout", "procedure.stop[].timeout")
@pytest.mark.parametrize("place", ["of all", "its own"])
def test_a_command_that_hangs_is_ended_with_its_children(
    one_row: tuple[str, str], tmp_path: Path, place: str
) -> None:
    if not Path("/proc/self").exists():
        pytest.skip(
            "without /proc a process that has ended cannot be distinguished from one that runs"
        )
    # Neither of them ends when it is asked to.
    script = (
        "trap '' TERM; (trap '' TERM; exec sh -c 'echo $$ > child; sleep 600; sleep 600') & "
        "echo $$ > parent; sleep 600; sleep 600"
    )
    command = {"run": script, "shell": True, **({"timeout": 1} if place == "its own" else {})}
    began = time.monotonic()
    report = stopping(one_row, tmp_path, command, **({"timeout": 1} if place == "of all" else {}))
    assert time.monotonic() - began < 60
    with pytest.raises(CommandError, match="did not end within 1 s and was ended"):
        report.raise_for_failures()
    assert not is_there(tmp_path / "parent") and not is_there(tmp_path / "child")
    assert report.application == "stopped"


@shows("procedure.stop[].shell", "procedure.cwd")
def test_only_a_shell_expands_anything(one_row: tuple[str, str], tmp_path: Path) -> None:
    for name, stop in {
        "text": "touch '$(id)' $HOME * a;b",
        "words": [["touch", "$(date)", "~"]][0],
        "shell": {"run": "touch $(echo made) by-`echo shell`", "shell": True},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        assert states(stopping(one_row, folder, stop))["stop"] == "failed"

    def found(name: str) -> set[str]:
        return {path.name for path in (tmp_path / name).rglob("*")}

    home = os.environ["HOME"]
    assert found("text") == {"$(id)", "$HOME", "*", "a;b"} and not home.startswith("$")
    assert found("words") == {"$(date)", "~"}
    assert found("shell") == {"made", "by-shell"}


@shows("procedure.check_stopped[].expect")
@pytest.mark.parametrize(
    ("expect", "run", "is_met"),
    [
        ("success", "true", True),
        ("success", "false", False),
        ("failure", "false", True),
        ("failure", "true", False),
        ("failure", "sh -c 'kill -9 $$'", False),
        ("no_output", "true", True),
        ("no_output", "false", True),
        ("no_output", "echo here", False),
        ("no_output", "sh -c 'echo no daemon >&2; exit 1'", False),
        ("no_output", "sh -c 'echo a warning >&2'", True),
    ],
)
def test_what_shows_that_the_application_is_stopped(
    one_row: tuple[str, str], tmp_path: Path, expect: str, run: str, is_met: bool
) -> None:
    procedure = {
        "stop": "false",
        "check_stopped": {"run": run, "expect": expect},
        "wait_for_writers": 0,
        "backup": False,
    }
    report = migration(one_row, tmp_path, procedure).run_safely()
    # Where the application is stopped already, the command above may fail.
    assert states(report)["stop"] == ("done" if is_met else "failed")
    assert states(report)["check_stopped"] == ("done" if is_met else "pending")


def test_what_a_daemon_prints_after_its_start_does_not_end_it(
    one_row: tuple[str, str], tmp_path: Path
) -> None:
    daemon = "(sleep 1; echo late; echo late; touch alive) & echo started"
    start = {"run": daemon, "shell": True}
    began = time.monotonic()
    procedure = {"start": start, "cwd": str(tmp_path)}
    migration(one_row, tmp_path, procedure).run_safely().raise_for_failures()
    while not (tmp_path / "alive").exists():
        assert time.monotonic() - began < 60
        time.sleep(0.1)


def test_a_program_is_found_next_to_the_commands_folder_and_on_the_path(
    one_row: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("here", "bin/on-path"):
        (tmp_path / name).write_text("#!/bin/sh\ntouch done-by-${0##*/}-$ENV\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "ENV": "prod"}
    procedure = {"stop": [["./here"], ["on-path"]], "cwd": str(tmp_path), "env": env}
    migration(one_row, tmp_path, procedure).run_safely().raise_for_failures()
    assert {"done-by-here-prod", "done-by-on-path-prod"} <= {p.name for p in tmp_path.iterdir()}
    nowhere = {**procedure, "cwd": str(tmp_path / "nowhere")}
    report = migration(one_row, tmp_path, nowhere).run_safely()
    assert "there is no folder" in report.text() and report.application == "untouched"


def test_passwords_are_not_logged(
    one_row: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = [str(conninfo_to_dict(side)["password"]) for side in one_row]
    # The token begins before the place where long lines are cut.
    long = "printf '%01990d%s\\n' 0 $TOKEN"
    short = "echo pin $PIN, x$KEY, $FLAG connection is $MODE"
    script = f"echo one {passwords[0]} two; echo three $TOKEN; {long}; {short}; exit 3"
    stop = ["sh", "-c", script, passwords[1]]
    env = {"TOKEN": "a-long-and-secret-token", "PIN": "4711", "KEY": "k3y"}
    env |= {"FLAG": "3", "MODE": "on"}
    procedure = {"stop": [stop], "env": env, "start_on_failure": False}
    moved = migration(one_row, tmp_path, procedure)
    caplog.set_level(logging.DEBUG, logger="pgmigrate")
    report = moved.run_safely()
    reported = "\n".join(record.getMessage() for record in caplog.records)
    assert "stop | one *** two" in reported and "stop | three ***" in reported
    assert "00***" in reported and "0a-long" not in reported
    assert "stop | pin ***, x***, *** connection is ***\n" in reported
    # That number is our own.
    assert "ended with exit code 3" in str(report.error) and "exit code 3" in report.text()
    shown = [reported, report.text(), report.to_json(), report.markdown(), repr(report)]
    for text in (*shown, repr(moved.config), str(report.error)):
        assert not any(secret in text for secret in (*passwords, "secret-token", "4711", "k3y"))
    assert moved.config["procedure"]["env"] == dict.fromkeys(env, "***")


def test_values_that_are_glued_to_letters_are_hidden_and_the_checklist_names_short_ones(
    one_row: tuple[str, str], tmp_path: Path, shell: Shell
) -> None:
    env = {"WORD": "lynx", "NUMBER": "4711", "SHORT": "gnu", "FLAG": "1", "EMPTY": ""}
    run = "echo a${WORD}b ${WORD}s 9${NUMBER}9 x${SHORT} $SHORT ${FLAG}0 $FLAG end; exit 3"
    stop = {"run": run, "shell": True}
    config = migration(one_row, tmp_path, {"stop": stop, "env": env, "start_on_failure": False})
    path = config_file(config, tmp_path / "c.json")
    done = shell.run("safe", "--config", str(path), "--checklist", "ticket.md", "--json")
    log = (tmp_path / "pgmigrate.log").read_text(encoding="utf-8")
    assert "stop | a***b ***s 9***9 xgnu *** 10 *** end\n" in log
    assert "lynx" not in log + done.text and "4711" not in log + done.text
    items = json.loads(done.stdout)["checklist"]["items"]
    (item,) = [item for item in items if item["check"] == "procedure_env"]
    assert item["state"] == "warning"
    assert [found["object"] for found in item["findings"]] == ["FLAG", "SHORT"]
    ticket = (tmp_path / "ticket.md").read_text(encoding="utf-8")
    assert "fewer than 4 characters" in ticket and "if it is a secret, use a longer one" in ticket
    assert "gnu" not in ticket

    long = migration(one_row, tmp_path, {"env": {"WORD": "lynx"}})
    checklist = long.run_safely(dry_run=True).checklist
    assert checklist is not None
    assert {i.check: i.state for i in checklist.items}["procedure_env"] == "ok"


def test_what_a_terminal_obeys_is_escaped_in_output(
    one_row: tuple[str, str], tmp_path: Path, shell: Shell
) -> None:
    stop = {
        "run": r"printf 'up\r\033[31mred\007\233\n'; echo '\033]0;a\007'; exit 3",
        "shell": True,
    }
    config = migration(one_row, tmp_path, {"stop": stop, "start_on_failure": False})
    path = config_file(config, tmp_path / "c.json")
    done = shell.run("safe", "--config", str(path), "--verbose", "--checklist", "ticket.md")
    log = (tmp_path / "pgmigrate.log").read_text(encoding="utf-8")
    assert r"stop | up\r\x1b[31mred\x07" in log and r"\x1b[31mred\x07" in done.stderr
    for text in (log, done.text, (tmp_path / "ticket.md").read_text(encoding="utf-8")):
        assert not set("\x1b\x07\r\x9b") & set(text)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_command_that_reopens_its_outputs_ends_with_the_procedure(
    one_row: tuple[str, str], tmp_path: Path, shell: Shell, interrupted: bool
) -> None:
    # The checks and the start, too, for they are what comes after.
    write = "echo more than that; echo one > /dev/stderr; echo two > /dev/stdout"
    stop = f"{write}; touch begun; {'exec sleep 600' if interrupted else write}"
    procedure = {
        "stop": {"run": stop, "shell": True},
        "check_stopped": {"run": f"{write}; exit 1", "shell": True, "expect": "failure"},
        "start": {"run": f"{write}; touch started", "shell": True},
        "cwd": str(tmp_path),
    }
    path = config_file(migration(one_row, tmp_path, procedure), tmp_path / "c.json")
    process = shell.start("safe", "--config", str(path), "--json")
    if interrupted:
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    try:
        reported = json.loads(process.communicate(timeout=40)[0])
    finally:
        process.kill()
    # All was stopped before, by the checks.
    assert reported["status"] == ("interrupted" if interrupted else "done")
    assert reported["application"] == "started" and (tmp_path / "started").exists()
    log = (tmp_path / "pgmigrate.log").read_text(encoding="utf-8")
    name = "start_again" if interrupted else "start"
    for line in ("more than that", "one", "two"):
        assert f"{name} | {line}\n" in log


# The seeds' three ways to stop an application.


MAKEFILE = """
prod:
	echo by $(MAKE) > running
stop-prod:
	rm running
	sleep 0.1
"""
# As the README has it.
README = """
procedure:
  stop: make stop-prod
  check_stopped: {run: test -e running, expect: failure}
  start: make prod
  on_failure: restore
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
def test_lines_of_a_makefile_are_commands(
    one_row: tuple[str, str], tmp_path: Path, shell: Shell
) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "running").touch()
    (tmp_path / "shop.yaml").write_text(f"{head(one_row)}{README}")
    dry = shell.run("safe", "--config", "shop.yaml", "--dry-run")
    assert dry.code == 0 and "stop the application: `make stop-prod`" in dry.stdout
    assert (tmp_path / "running").read_text() == ""
    done = shell.run("safe", "--config", "shop.yaml", "--checklist", "ticket.md")
    assert done.code == 0, done.text
    assert "by" in (tmp_path / "running").read_text()
    assert (tmp_path / "ticket.md").read_text().startswith("# Safe migration\n")


STUB = """#!/bin/sh
printf '%s' "$(basename "$0")" >> calls
printf ' <%s>' "$@" >> calls
echo >> calls
case "$*" in
    *stop*) touch stopped;;
    *up*|*start*) rm -f stopped;;
    *ps*) test -e stopped || echo bot-1;;
    *is-active*) ! test -e stopped;;
esac
"""
EXAMPLE = Path(servers.__file__).parents[2] / "python/pgmigrate/config.example.yaml"


@pytest.mark.parametrize("manager", ["systemd", "docker compose"])
def test_the_examples_for_docker_and_systemd(
    one_row: tuple[str, str], tmp_path: Path, shell: Shell, manager: str
) -> None:
    lines = EXAMPLE.read_text().partition(f"# With {manager}:\n")[2].splitlines()[:3]
    example = "\n".join(line.removeprefix("# ") for line in lines)
    (tmp_path / "bin").mkdir()
    for name in ("docker", "systemctl", "sudo"):
        (tmp_path / "bin" / name).write_text(STUB)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "c.yaml").write_text(f"{head(one_row)}procedure:\n{example}\n")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = shell.run("safe", "--config", "c.yaml", PATH=path)
    assert done.code == 0, done.text
    calls = (tmp_path / "calls").read_text().splitlines()
    if manager == "systemd":
        check = "systemctl <is-active> <--quiet> <bot.service>"
        stop, start = (
            f"sudo <-n> <systemctl> <{word}> <bot.service>" for word in ("stop", "start")
        )
    else:
        check = "docker <compose> <ps> <-q> <--status> <running> <bot> <worker>"
        stop = "docker <compose> <stop> <bot> <worker>"
        start = "docker <compose> <up> <-d> <--wait> <bot> <worker>"
    # Once more before the backup and before the migration.
    assert calls == [check, stop, check, check, check, start]
