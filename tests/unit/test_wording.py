"""Remedies speak the language of the interface in use, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final, get_args

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from pgmigrate import Finding, Plan
from pgmigrate._bridge.job import deliver
from pgmigrate._values.wording import WORDS, Action, Face, action, facing, rendered
from pgmigrate.airflow import PgMigrate
from pgmigrate.cli import main
from pgmigrate.errors import StateError
from pgmigrate.events import Event

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
    assert set(get_args(Action)) - names == {"restore", "stop"}


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
    with pytest.raises(StateError, match=r"name the file with plan_file, .* Migration\.plan\(\)"):
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
