"""The reference page is what the sources, the commands and the core say, and leaves nothing out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import griffe
import pytest
from click.testing import CliRunner

from pgmigrate import _native
from pgmigrate.cli import commands
from reference import options, sets
from reference.page import PAGE, anchor, page
from reference.public import PACKAGE, members, public_names


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)


def exported(path: Path) -> list[str]:
    """What a file has in its ``__all__``."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(statement.value)]
    return []


def test_the_page_is_what_its_generator_writes(text: str) -> None:
    assert text == page(), "write it again: python tests/reference"


def test_the_types_of_options_are_what_their_generator_writes() -> None:
    written = options.MODULE.read_text(encoding="utf-8")
    assert written == options.module(), "write it again: python tests/reference"


def test_the_closed_sets_are_those_of_the_core() -> None:
    written = sets.MODULE.read_text(encoding="utf-8")
    assert written == sets.module(), "write it again: python tests/reference"


def test_every_public_name_has_an_entry(text: str) -> None:
    entries = {heading.rpartition(".")[2] for heading in headings(text)}
    for path in PACKAGE.rglob("*.py"):
        is_private = any(part.startswith("_") for part in path.relative_to(PACKAGE).parts[:-1])
        if not is_private and (not path.name.startswith("_") or path.name == "__init__.py"):
            assert not set(exported(path)) - entries, path


def test_every_command_and_every_key_is_on_it(text: str) -> None:
    found = headings(text)
    assert [name for name in commands.commands if f"pgmigrate {name}" not in found] == []
    assert [key for key in _native.config_keys() if f"\n| `{key['key']}` |" not in text] == []


def test_its_links_lead_to_its_headings(text: str) -> None:
    anchors = [anchor(heading) for heading in headings(text)]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= set(anchors)


def test_every_public_name_says_what_it_is() -> None:
    bare = [title for title, target in public_names().items() if not target.has_docstring]
    for title, target in public_names().items():
        if isinstance(target, griffe.Class):
            reported = [
                item.name
                for section in (target.docstring.parsed if target.docstring else [])
                if section.kind.value in ("attributes", "parameters")
                for item in section.value
            ]
            bare += [
                f"{title}.{name}"
                for name, member in members(target).items()
                if not member.has_docstring and name not in reported
            ]
    assert bare == []


def test_the_command_prints_the_page(text: str) -> None:
    assert CliRunner().invoke(commands, ["reference"]).output == text
