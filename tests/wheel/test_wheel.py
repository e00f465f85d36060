"""The wheel: what it holds, and that each extra by itself makes its integration work.

`PGMIGRATE_WHEEL` names a wheel; without it the tests build one. Every extra gets a new environment
with the wheel and that extra alone, and runs its script of `uses`; pip has to be able to download.
"""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Final

import pytest

from pgmigrate.embedded import find_tool
from support.cases import some_each_time

ROOT: Final = Path(__file__).parents[2]
USES: Final = Path(__file__).with_name("uses")
PACKAGE: Final = ROOT / "python" / "pgmigrate"
BYTES_AT_MOST: Final = 8_000_000
# For development of pgmigrate itself.
FOR_DEVELOPERS: Final = {"lint", "test"}
# What stands in an environment before pgmigrate does.
THERE_BEFORE: Final[dict[str, list[str]]] = {"alembic": ["psycopg[binary]"]}

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("PGMIGRATE_WHEEL")
    if named is not None:
        return Path(named).resolve()
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", f"--wheel-dir={folder}", str(ROOT))
    (built,) = folder.iterdir()
    return built


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def metadata(wheel: Path, name: str) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (path for path in archive.namelist() if path.endswith(f".dist-info/{name}"))
        return email.message_from_bytes(archive.read(member))


def extras() -> list[str]:
    """The extras that have a script; `base` stands for none."""
    return sorted(path.stem for path in USES.glob("*.py"))


def sources() -> Iterator[str]:
    """The files of the package as a wheel names them, but for the core."""
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".so", ".pyc"):
            yield path.relative_to(PACKAGE.parent).as_posix()


def test_one_wheel_serves_all_pythons(wheel: Path) -> None:
    tags = metadata(wheel, "WHEEL").get_all("Tag", [])
    assert tags and all(tag.startswith("cp310-abi3-") for tag in tags)
    assert metadata(wheel, "METADATA")["Requires-Python"] == ">=3.10"


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < BYTES_AT_MOST


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    core = {name for name in files if name.startswith("pgmigrate/_native.abi3.")}
    assert len(core) == 1
    assert files - core == set(sources())
    data = ("py.typed", "_native.pyi", "config.example.yaml", "reference.md", "demo.sql")
    dags = ("airflow/example_dags/pgmigrate_fan_out.py", "airflow/example_dags/pgmigrate_whole.py")
    for needed in (*data, *dags):
        assert f"pgmigrate/{needed}" in files


def test_every_extra_has_a_use(wheel: Path) -> None:
    named = set(metadata(wheel, "METADATA").get_all("Provides-Extra", []))
    assert {"base", *named - FOR_DEVELOPERS} == set(extras())


# Airflow takes as long to install as all others together, and other tests use it.
@pytest.mark.parametrize(
    "extra", some_each_time(extras(), *(extra for extra in extras() if extra != "airflow"))
)
def test_an_extra_by_itself(
    extra: str, wheel: Path, databases: tuple[str, str], tmp_path: Path
) -> None:
    python = environment(tmp_path / "venv", wheel, extra)
    given = {"source": databases[0], "target": databases[1], "pg_dump": str(find_tool("pg_dump"))}
    done = subprocess.run(
        [python, "-I", USES / f"{extra}.py", json.dumps(given)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def environment(folder: Path, wheel: Path, extra: str) -> Path:
    """The interpreter of a new environment with a wheel and one extra."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    wanted = str(wheel) if extra == "base" else f"{wheel}[{extra}]"
    # Python compiles what is imported, which is little of it.
    wanted_too = THERE_BEFORE.get(extra, [])
    pip("--python", str(python), "install", "--no-compile", wanted, *wanted_too)
    return python
