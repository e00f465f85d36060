"""Type checkers know every option and every field of an event: what is misspelt or wrong is found.

Away from the sources, so that they read the package as a user has it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("type_checkers")

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

Lines = Mapping[str, list[int]]
"""Lines with errors by file, in ascending order; every file that has none is left out."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All scripts: a checker takes most of its time to start."""
    found = tmp_path_factory.mktemp("scripts")
    (found / "three.py").write_text(THREE)
    (found / "every_place.py").write_text(EVERY_PLACE)
    return found


@pytest.fixture(scope="module")
def mypy(folder: Path) -> Lines:
    # What a check of the project knows of the package need not be read again.
    cache = f"--cache-dir={USER.parents[1] / '.mypy_cache'}"
    command = ["-m", "mypy", "--strict", "--config-file=", "--python-version=3.10", cache]
    scripts = sorted(path.name for path in folder.glob("*.py"))
    done = subprocess.run(
        [sys.executable, *command, "--no-error-summary", "--hide-error-context", *scripts],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    errors = [line.split(":") for line in done.stdout.splitlines() if ": error: " in line]
    return by_file((file, int(line)) for file, line, *_ in errors)


@pytest.fixture(scope="module")
def pyright(folder: Path) -> Lines:
    """By basedpyright, which brings its own node, as pyright by itself."""
    shutil.copytree(USER, folder / "user", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", f"--pythonpath={sys.executable}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(list(folder.rglob("*.py")))
    return by_file(
        (Path(one["file"]).relative_to(folder).as_posix(), 1 + one["range"]["start"]["line"])
        for one in found["generalDiagnostics"]
        if one["severity"] == "error"
    )


def by_file(errors: Iterable[tuple[str, int]]) -> Lines:
    found: dict[str, list[int]] = {}
    for file, line in sorted(errors):
        found.setdefault(file, []).append(line)
    return found


@pytest.fixture(params=["mypy", "pyright"])
def lines(request: pytest.FixtureRequest) -> Lines:
    """What each of them finds."""
    found: Lines = request.getfixturevalue(request.param)
    return found


def test_a_misspelt_option_a_wrong_value_and_a_wrong_field_are_three_errors(lines: Lines) -> None:
    assert lines["three.py"] == [6, 11, 12]


def test_what_is_wrong_is_found_wherever_it_is_written_and_nothing_else(lines: Lines) -> None:
    wrong = [at for at, line in enumerate(EVERY_PLACE.splitlines(), 1) if line.endswith("# wrong")]
    assert sorted(set(lines["every_place.py"])) == wrong


def test_pyright_finds_nothing_in_the_scripts_of_a_user(pyright: Lines) -> None:
    assert pyright.keys() == {"three.py", "every_place.py"}
