"""Remedies speak the language of the interface in use, and no other."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, get_args

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from pgmigrate import Finding, Migration, Plan, run_all
from pgmigrate._bridge.job import deliver
from pgmigrate._values.wording import (
    WORDS,
    WORDS_OF_CALL,
    Action,
    Call,
    Face,
    action,
    calling,
    facing,
    rendered,
    words_of,
)
from pgmigrate.airflow import PgMigrate
from pgmigrate.cli import main
from pgmigrate.errors import InterruptedRunError, StateError
from pgmigrate.events import Event
from support.scripted_core import SOURCE, TARGET, Core

ROOT: Final = Path(__file__).parents[2]
FACES: Final[tuple[Face, ...]] = get_args(Face)
# How each interface writes what a person is to do, and the others must not.
FLAG: Final = re.compile(r"(?<![\w-])--[a-z]|`pgmigrate ")
KEYWORD: Final = re.compile(r"\b[a-z_]+=(?:True|False|\{\})|Migration\.")


def test_each_action_has_words_in_each_interface() -> None:
    assert set(WORDS) == set(get_args(Action))
    for name, words in WORDS.items():
        assert set(words) == set(FACES), name


def test_the_core_and_the_package_have_the_same_actions() -> None:
    source = (ROOT / "src" / "action.rs").read_text()
    names = set(re.findall(r'=> "([a-z_]+)"', source)) | set(
        re.findall(r"\{action:([a-z_]+) ", source)
    )
    # Only this package names the other ones.
    assert names <= set(get_args(Action))
    assert set(get_args(Action)) - names == {"restore"}


def test_a_command_line_has_no_keywords_and_python_no_flags() -> None:
    for name, words in WORDS.items():
        assert not FLAG.search(words["python"]), name
        # Parts of a run are a matter of programs alone.
        assert name == "hold" or not KEYWORD.search(words["command"]), name


def test_an_error_and_a_finding_speak_the_language_in_use() -> None:
    remedy = f"grant it, then {action('resume')}"
    said = {}
    for face in FACES:
        with facing(face):
            said[face] = StateError("no", remedy=remedy).remedy
            found = Finding("c", "info", "", "m", remedy)
            assert found.remedy == said[face] == rendered(remedy)
    assert said == {
        "command": "grant it, then run again with --resume",
        "python": "grant it, then run again with resume=True",
        "airflow": "grant it, then let the task be tried again, or clear it",
    }
    assert StateError("no", remedy=remedy).remedy == said["python"]


# The calls whose errors have an action. Where its words are a parameter, the call has it.
REACHED: Final[Mapping[Action, tuple[Call, ...]]] = {
    "again": get_args(Call),
    "resume": ("run", "run_all", "run_safely", "run_tasks", "hold", "upgrade"),
    "not_consistent": ("run", "run_all", "run_safely", "run_tasks", "hold"),
    "plan_file": ("run", "run_all", "run_safely", "load_plan"),
    "state_file": ("run", "run_all", "run_safely"),
    "backup_directory": ("run", "run_all", "run_safely", "backup"),
}
FUNCTIONS: Final[Mapping[Call, Callable[..., object]]] = {
    "run": Migration.run,
    "run_all": run_all,
    "run_safely": Migration.run_safely,
    "run_tasks": Migration.run_tasks,
    "hold": Migration.hold_snapshot,
    "backup": Migration.backup,
    "load_plan": Plan.load,
}
PARAMETER: Final = re.compile(r"\b(?<![.`])([a-z_]+)=|^([a-z_]+)(?= or |$)")


@pytest.mark.parametrize(
    ("name", "call"), [(name, call) for name, calls in REACHED.items() for call in calls]
)
def test_python_s_words_name_parameters_of_the_call(name: Action, call: Call) -> None:
    named = {one or other for one, other in PARAMETER.findall(words_of(name, "python", call))}
    of = inspect.signature(FUNCTIONS[call]).parameters if call in FUNCTIONS else {}
    assert named <= set(of), (name, call)


def test_words_of_calls_are_for_calls_and_actions_that_there_are() -> None:
    assert set(WORDS_OF_CALL) == set(get_args(Call)) == {*FUNCTIONS, "upgrade"}
    assert all(set(of) <= set(REACHED) for of in WORDS_OF_CALL.values())
    for words in (one for of in WORDS_OF_CALL.values() for one in of.values()):
        assert set(words) <= set(FACES)


def test_the_outermost_call_decides() -> None:
    again = action("again")
    with calling("run_safely"), calling("verify"):
        assert rendered(again) == "run again with resume=True"
    with calling("verify"):
        assert rendered(again) == "call it again"
    with facing("command"), calling("verify"):
        assert rendered(again) == "run it again"


@pytest.mark.parametrize(("verb", "words"), [("verify", "call it"), ("run", "run again with")])
def test_a_stopped_verb_is_called_again_and_a_stopped_run_resumed(
    verb: str, words: str, core: Core
) -> None:
    job = core.will(None)
    migration = Migration(source=SOURCE, target=TARGET)

    def stopped() -> None:
        raise InterruptedRunError("stopped on request", remedy=action("again"))

    job.result = stopped  # type: ignore[method-assign] # the error is made where it is taken
    with pytest.raises(InterruptedRunError, match=words):
        getattr(migration, verb)()


def test_a_value_and_an_event_are_rendered() -> None:
    with facing("command"):
        assert rendered(f"use {action('jobs', 3)}") == "use --jobs 3"
    found: list[Event] = []
    remedy = f"use {action('status')}"
    event = {"event": "found", "severity": "info", "object": "", "message": "m", "remedy": remedy}
    deliver([event], found.append)
    assert found[0]["remedy"] == "use Migration.status()"  # type: ignore[typeddict-item]


def test_a_command_names_flags_and_python_keywords(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "--source", "host=a", "--target", "host=b", "--plan", "p.tsv"]) == 1
    assert "remedy: name the file with --plan, or make it with `pgmigrate plan`" in (
        capsys.readouterr().err
    )
    with pytest.raises(StateError, match=r"name the file with path, .* Migration\.plan\(\)"):
        Plan.load("p.tsv")


def test_an_operator_names_what_airflow_has() -> None:
    operator = PgMigrate(task_id="move")
    with pytest.raises(AirflowException, match="let the task be tried again"), operator._working():
        raise StateError("no", remedy=action("resume"))


def test_what_is_no_action_stays() -> None:
    assert rendered("SET x = '{action:none}', '{a}'") == "SET x = '{action:none}', '{a}'"


def test_the_core_names_no_interface() -> None:
    for path in sorted((ROOT / "src").rglob("*.rs")):
        # The meaning of a key is for the reference, which describes all interfaces.
        if path.name == "keys.rs":
            continue
        for quoted in re.findall(r'"(?:[^"\\]|\\.)*"', path.read_text(), flags=re.S):
            for of_interface in ("--resume", "resume=True", "`pgmigrate ", "Migration."):
                assert of_interface not in quoted, (path, quoted)


def test_the_package_names_no_interface_in_an_error() -> None:
    for path in sorted((ROOT / "python" / "pgmigrate").rglob("*.py")):
        # A command line speaks of itself.
        if path.parts[-2] == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "remedy":
                texts = [
                    part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)
                ]
                assert not any(FLAG.search(str(text)) for text in texts), (path, texts)
