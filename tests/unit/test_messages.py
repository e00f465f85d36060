"""The page of messages is complete: every error and every finding has a stable name on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from pgmigrate._values.wording import facing, rendered
from pgmigrate.cli import main
from reference.messages import PAGE, page
from reference.public import PACKAGE
from reference.sites import CORE, checks, sites

SITES: Final = sites()
README: Final = Path(__file__).parents[2] / "README.md"


def test_the_page_is_what_its_generator_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python tests/reference"


def test_the_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "--messages"]) == 0
    assert capsys.readouterr().out == PAGE.read_text(encoding="utf-8")


def test_every_name_in_the_sources_is_on_the_page() -> None:
    headings = set(re.findall(r"^### `([a-z0-9_]+)`$", PAGE.read_text(encoding="utf-8"), re.M))
    made = r'(?:Error::new|Finding::new|\.named|blocking|warning|info)\(\s*"([a-z_]+)"'
    for path in CORE.rglob("*.rs"):
        if path.name != "tests.rs":
            text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
            assert set(re.findall(made, text)) <= headings, path
    for path in PACKAGE.rglob("*.py"):
        named = re.findall(
            r'(?<!Import)(?<!NotFound)Error\([^()]*?name="([a-z_]+)"',
            path.read_text(encoding="utf-8"),
        )
        assert set(named) <= headings, path


def test_every_error_and_every_finding_has_a_name() -> None:
    unnamed = [site.place for site in SITES if not site.name]
    assert unnamed == [], "give it a name, or that of the error that it is made from"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", site.name) for site in SITES)


def test_every_check_of_the_preflight_is_made_somewhere() -> None:
    assert set(checks()) <= {site.name for site in SITES if site.is_finding}


def test_every_name_has_a_text_to_read() -> None:
    named = {(site.name, site.is_finding) for site in SITES}
    silent = named - {(site.name, site.is_finding) for site in SITES if site.texts}
    assert silent == set(), "write its text where it is made, or let `reference` follow it"


def test_every_text_says_something_and_is_whole() -> None:
    """Not only what it inserts, and no part of another text such as a name or a plural."""
    for site in SITES:
        for text in (*site.texts, *site.remedies):
            words = re.sub(r"\{[^{}]*\}", "", text)
            is_command = text.startswith("{action:")
            is_of_parser = "in the words of" in text
            assert is_command or is_of_parser or re.search("[A-Za-z]{3,}", words), (site.name, text)


def test_the_readme_shows_findings_that_are_made() -> None:
    shown = re.findall(r"^ *(?:info|warning|blocking|remedy): (.+)$", README.read_text(), re.M)
    findings = [site for site in SITES if site.is_finding]
    texts = {text for site in findings for text in (*site.texts, *site.remedies)}
    patterns = [_pattern(text) for text in texts]
    odd = [line for line in shown if not any(re.fullmatch(one, line) for one in patterns)]
    assert shown and odd == [], "run the documented command, and put in what it prints"


def _pattern(text: str) -> str:
    """What a finding with this text is shown as: its object may stand in front."""
    with facing("command"):
        parts = re.split(r"\{[^{}]*\}", rendered(text))
    # A number of several is not 1, which has a text of its own.
    return r"(?:[\w.\"]+: )?(?!1 .*\b(?:are|were|have)\b)" + ".+".join(map(re.escape, parts))


def test_no_text_names_its_side_twice() -> None:
    for site in SITES:
        for text in site.texts:
            for side in ("source", "target"):
                assert not re.search(rf"the {side}\b.*on the {side}$", text), (site.name, text)
