"""The README's code does what it says: each Python block runs as it stands, between real servers.

A block is named by its heading and its number below it. `RUNS` has what must be there before it
runs; no block is changed, and a configuration only in its two servers.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import nbclient
import nbformat
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import Migration
from pgmigrate.cli import commands
from reference.page import anchor
from support import application, servers
from support.airflow_site import AirflowSite, connection
from support.alembic_project import Project
from support.application import Application
from support.shell import Shell

README: Final = Path(__file__).parents[2] / "README.md"
LINES_OF_A_BLOCK: Final = 10

SHOP: Final = """
CREATE SCHEMA shop;
CREATE TABLE shop.events (event_id int PRIMARY KEY, v text);
CREATE TABLE shop.audit (id int PRIMARY KEY, created date);
CREATE TABLE shop.scratch (id int);
INSERT INTO shop.events SELECT i, 'v' || i FROM generate_series(1, 1000) AS i;
INSERT INTO shop.audit SELECT i, date '2025-12-30' + i FROM generate_series(1, 5) AS i;
"""

# What alembic's own env.py has before the hook.
ENGINE: Final = """
import os

from sqlalchemy import create_engine

connectable = create_engine(os.environ["URL"])
"""


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: what stands behind its fence.
        heading: the heading that it stands below.
        number: its number among the blocks of that language there, from 1.
        text: the code.
    """

    language: str
    heading: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.heading} {self.number}"


@dataclass(frozen=True)
class Place:
    """Where a block runs.

    Attributes:
        pair: the servers.
        directory: an empty directory.
        source: a database with a schema ``shop``.
        target: an empty database.
    """

    pair: Pair
    directory: Path
    source: str
    target: str

    def python(self, code: str, **environment: str) -> str:
        """Runs code in an interpreter of its own; what it printed."""
        (self.directory / "block.py").write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "block.py"],
            cwd=self.directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def tokens() -> list[Token]:
    return MarkdownIt().parse(README.read_text(encoding="utf-8"))


def blocks(language: str) -> Iterator[Block]:
    heading, number = "", 0
    every = tokens()
    for at, token in enumerate(every):
        if token.type == "heading_open":
            heading, number = every[at + 1].content, 0
        elif token.type == "fence" and token.info == language:
            number += 1
            yield Block(language, heading, number, token.content)


def config(place: Place, *sections: str) -> None:
    """The README's configuration, between these servers, and more of its sections."""
    whole, *parts = (yaml.safe_load(block.text) for block in blocks("yaml"))
    for part in parts:
        whole |= {name: part[name] for name in sections if name in part}
    whole["source"]["conninfo"], whole["target"]["conninfo"] = place.source, place.target
    (place.directory / "shop.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")


def from_python(place: Place, code: str) -> None:
    config(place)
    printed = place.python(code)
    assert "phase" in printed and "task_finished" in printed
    events = servers.rows(place.source, "shop", "events")
    assert servers.rows(place.target, "shop", "events") == events
    assert len(servers.rows(place.target, "shop", "audit")) == 3
    assert ("shop", "scratch") not in servers.tables(place.target)
    assert (place.directory / "plan.tsv").exists()


def airflow(place: Place, code: str) -> None:
    site = AirflowSite(place.directory / "airflow").prepare()
    site.settings["AIRFLOW_CONN_OLD"] = connection(place.source)
    site.settings["AIRFLOW_CONN_NEW"] = connection(place.target)
    file = site.dags / "move_shop.py"
    file.write_text(code, encoding="utf-8")
    run = site.test_dag(file, "move_shop")
    assert run.state == "success", run.log
    servers.assert_equal(place.source, place.target)


def into_a_schema_that_is_there(place: Place, code: str) -> None:
    servers.run_script(place.target, SHOP.split("INSERT")[0])
    services = place.directory / "pg_service.conf"
    written = {"old": place.source, "new": place.target}
    parts = [
        "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in conninfo_to_dict(to).items())])
        for name, to in written.items()
    ]
    services.write_text("\n".join(parts) + "\n", encoding="utf-8")
    place.python(code, PGSERVICEFILE=str(services))
    events = servers.rows(place.source, "shop", "events")
    assert servers.rows(place.target, "shop", "events") == events
    assert servers.rows(place.target, "shop", "audit") == []


def alembic(place: Place, code: str) -> None:
    config(place)
    project = Project(place.directory, place.source, place.target)
    project.env("", text=f"{ENGINE}\n{code}".replace("{", "{{").replace("}", "}}"))
    project.revision("4f2a9c81d0be", None, *(f"{line};" for line in SHOP.split(";\n")[:2]))
    project.revision("5b3c0d92e1cf", "4f2a9c81d0be", SHOP.split(";\n")[2])
    project.upgrade()
    for table in ("events", "audit"):
        copied = servers.rows(place.target, "shop", table)
        assert copied and set(copied) <= set(servers.rows(place.source, "shop", table))


def notebooks_and_pictures(place: Place, code: str) -> None:
    config(place)
    new: Any = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(f"{code}\nslow")])
    there = {"metadata": {"path": str(place.directory)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=there).execute()
    progress, slow = (output.data for output in notebook.cells[0].outputs if "data" in output)
    assert "100" in progress["text/html"] and "shop.events" in slow["text/html"]
    assert "<svg" in (place.directory / "plan.svg").read_text(encoding="utf-8")
    assert "shop.events" in (place.directory / "report.html").read_text(encoding="utf-8")
    events = servers.rows(place.source, "shop", "events")
    assert servers.rows(place.target, "shop", "events") == events


# What is there before a block runs, how it runs, and what is true afterwards.
RUNS: Final[dict[str, Callable[[Place, str], None]]] = {
    "Ten minutes 1": from_python,
    "Airflow 1": airflow,
    "alembic 1": alembic,
    "Notebooks and pictures 1": notebooks_and_pictures,
    "Into a schema that is there 1": into_a_schema_that_is_there,
}


def test_every_block_is_run() -> None:
    assert {str(block) for block in blocks("python")} == RUNS.keys()


def test_a_block_has_ten_lines_at_most() -> None:
    long = [str(block) for block in blocks("python") if block.text.count("\n") > LINES_OF_A_BLOCK]
    assert long == []


@pytest.mark.parametrize("block", list(blocks("python")), ids=str)
def test_a_block_runs(block: Block, pair: Pair, tmp_path: Path) -> None:
    place = Place(pair, tmp_path, pair.source(), pair.target())
    servers.run_script(place.source, SHOP)
    RUNS[str(block)](place, block.text)


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=str)
def test_a_configuration_can_be_read(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of one follows the first one, which is whole."""
    whole = next(blocks("yaml"))
    for name in re.findall(r"\$\{(\w+)\}", whole.text + block.text):
        monkeypatch.setenv(name, "secret")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(whole.text), **yaml.safe_load(block.text)}))
    Migration.from_file(path)


def test_links_lead_somewhere() -> None:
    """A link to a heading of the reference names one that it has."""
    inline = [token for token in tokens() if token.type == "inline"]
    links = [
        str(child.attrs["href"])
        for token in inline
        for child in token.children or ()
        if child.type == "link_open"
    ]
    for link in links:
        path, _, place = link.partition("#")
        file = README.parent / path if path else README
        assert "://" in link or file.exists(), link
        if place:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
            assert place in {anchor(heading) for heading in headings}, link
    assert any(link.startswith("python/pgmigrate/reference.md") for link in links)


def stand_in(program: Path, verb: str, web: Application) -> None:
    """A program that does something with the application, by shell code that says what."""
    words = f'{sys.executable} {application.__file__} "$verb" {web.folder}'
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{verb}\nexec {words}\n", encoding="utf-8")
    program.chmod(0o755)


def test_the_safe_procedure_runs_as_shown(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make` and `pgrep` are stand-ins, with a process behind them that writes to the source."""
    place = Place(pair, tmp_path, pair.source(), pair.target())
    servers.run_script(place.source, SHOP + application.TABLES)
    config(place, "procedure")
    web = Application(tmp_path / "web", place.source)
    web.folder.mkdir()
    programs = tmp_path / "bin"
    stand_in(programs / "make", "verb=stop; [ $1 = prod ] && verb=start", web)
    stand_in(programs / "pgrep", "verb=check", web)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DATABASE", place.source)
    rehearsal, real = (shlex.split(line, comments=True)[1:] for line in calls("The safe procedure"))
    web.do("start")
    first = web.process()
    try:
        done = Shell(tmp_path).run(*rehearsal)
        assert done.code == 0 and web.process() == first, done.text
        done = Shell(tmp_path).run(*real)
        assert done.code == 0 and first != web.process() is not None, done.text
    finally:
        web.do("stop")
    assert "- [x]" in (tmp_path / "ticket.md").read_text(encoding="utf-8")
    events = servers.rows(place.source, "shop", "events")
    assert events and servers.rows(place.target, "shop", "events") == events


def calls(heading: str | None = None) -> list[str]:
    """The calls of the program in console blocks, all of them or those below a heading."""
    found = (block.text for block in blocks("console") if heading in (None, block.heading))
    return re.findall(r"^(?:.*&& )?(pgmigrate .*)$", "\n".join(found), re.M)


@pytest.mark.parametrize("line", calls())
def test_a_command_line_can_be_read(line: str) -> None:
    context: Any = click.Context(commands, info_name="pgmigrate")
    words = shlex.split(line, comments=True)[1:]
    name, command, rest = commands.resolve_command(context, words)
    assert name is not None and command is not None
    command.make_context(name, rest, parent=context)


def test_every_guarantee_names_tests_that_exist() -> None:
    section = README.read_text().split("## What is guaranteed\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for *_, tests in rows:
        named = re.findall(r"`(tests/\S+\.py)`", tests)
        assert named, tests
        assert all((README.parent / name).is_file() for name in named), tests
