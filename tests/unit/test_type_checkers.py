"""Type checkers know every option and every field of an event: what is misspelt or wrong is found.

Away from the sources, so that they read the package as a user has it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

USER: Final = Path(__file__).parents[1] / "user"

THREE: Final = """\
from pgmigrate import Event, Migration


def on_event(event: Event) -> None:
    if event["event"] == "task_finished":
        print(event["object"], event["row"])


def main(misspelt: bool) -> None:
    if misspelt:
        Migration(source="host=a", target="host=b", data_onyl=True).run(on_event=on_event)
    Migration(source="host=a", target="host=b", format="csv").run(on_event=on_event)
"""

# Each of its calls that ends in "wrong" is wrong in one thing; all others are right.
EVERY_PLACE: Final = """\
from pgmigrate import Connection, Event, Migration, Options, Procedure, TableRule, run_all
from pgmigrate.alembic import PostUpgrade
from pgmigrate.events import RunFinishedEvent


def of_migration(m: Migration) -> None:
    Migration(source={"host": "a", "sslmode": "require"}, target={"database": "b"})
    Migration(source={"hots": "a"}, target="host=b")  # wrong
    Migration(source="host=a", target="host=b", schemas={"mode": "included"})  # wrong
    Migration(source="host=a", target="host=b", tables=[{"name": "t", "were": "a"}])  # wrong
    Migration(source="host=a", target="host=b", tables=["t", {"name": "u", "where": "a"}])
    Migration(source="host=a", target="host=b", roles="needed", verify="yes")  # wrong
    Migration(source="host=a", target="host=b", roles="most")  # wrong
    Migration(source="host=a", target="host=b", options={"on_conflct": "error"})  # wrong
    Migration(source="host=a", target="host=b", parallel={"max_job": 1})  # wrong
    Migration(source="host=a", target="host=b", procedure={"stop": {"rn": "a"}})  # wrong
    Migration(source="host=a", target="host=b", procedure={"stop": ["a", ["b", "c"]]})
    options: Options = {"retries": "5"}  # wrong
    rule: TableRule = {"name": "t", "chunk_size": "many"}  # wrong
    PostUpgrade(m, on={"head": {"tables": ["t"], "on_conflict": "update"}})
    PostUpgrade(m, on={"head": {"tables": ["t"], "on_conflict": "replace"}})  # wrong


async def of_runs(m: Migration) -> None:
    m.run(resume=True, jobs=2, state="state.tsv", on_drift="refuse")
    m.run(resum=True)  # wrong
    await m.run_async(dry_run="no")  # wrong
    m.run_safely(verify=True)  # wrong
    m.run_tasks(m.plan(), ["t1"], snapshot="hold")  # wrong
    run_all([m], on_drift="warn", backup=True)
    run_all([m], backups=True)  # wrong


def of_events(event: Event, finished: RunFinishedEvent) -> None:
    print(event["event"], finished["failed"])
    print(finished["failures"])  # wrong
    if event["event"] == "table_verified":
        print(event["status"] == "equal", event["rows"])
        print(event["seconds"])  # wrong
    if event["event"] == "found":
        print(event["severity"], event["remedies"])  # wrong
"""

Check = Callable[[Path, Path], list[int]]


def mypy(script: Path, folder: Path) -> list[int]:
    """The lines with errors by mypy."""
    # What a check of the project knows of the package need not be read again.
    cache = f"--cache-dir={USER.parents[1] / '.mypy_cache'}"
    command = ["-m", "mypy", "--strict", "--config-file=", "--python-version=3.10", cache]
    done = subprocess.run(
        [sys.executable, *command, "--no-error-summary", "--hide-error-context", script.name],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    return [int(line.split(":")[1]) for line in errors]


def pyright(script: Path, folder: Path) -> list[int]:
    """The lines with errors by basedpyright, which brings its own node, as pyright by itself."""
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "basedpyright",
            "--outputjson",
            f"--pythonpath={sys.executable}",
            script.name,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    return sorted(1 + of["range"]["start"]["line"] for of in found if of["severity"] == "error")


CHECKERS: Final = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
def test_a_misspelt_option_a_wrong_value_and_a_wrong_field_are_three_errors(
    check: Check, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(THREE)
    assert check(script, tmp_path) == [6, 11, 12]


@CHECKERS
def test_what_is_wrong_is_found_wherever_it_is_written_and_nothing_else(
    check: Check, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(EVERY_PLACE)
    wrong = [at for at, line in enumerate(EVERY_PLACE.splitlines(), 1) if line.endswith("# wrong")]
    assert sorted(set(check(script, tmp_path))) == wrong


def test_pyright_finds_nothing_in_the_scripts_of_a_user(tmp_path: Path) -> None:
    shutil.copytree(USER, tmp_path / "user", ignore=shutil.ignore_patterns("__pycache__"))
    assert pyright(tmp_path / "user", tmp_path) == []
