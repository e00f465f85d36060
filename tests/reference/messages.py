"""The page of messages: every stable name of an error or a finding, with its texts and remedies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pgmigrate._values.wording import WORDS, facing, rendered
from reference.public import PACKAGE
from reference.sites import Site, checks, sites

PAGE: Final = PACKAGE / "messages.md"
_HEAD: Final = """\
# Messages

Every error and every finding of pgmigrate by its stable name, with what it says and what to do
about it. Scripts may rely on the names: an exception has its name in `name`, a finding in `check`,
and both have it in JSON and in log files. One name has one meaning, wherever it is used. Texts may
change; words in braces stand for the names and figures of a case. Remedies are shown as on a
command line; the last table has the words of the other interfaces.

Written by `python tests/reference` from the sources of the core and of the package; `pgmigrate
reference --messages` prints it.
"""


def page() -> str:
    """The text of the page."""
    found = [site for site in sites() if site.name]
    listed = checks()
    findings = [site for site in found if site.is_finding]
    lines = _HEAD.splitlines()
    lines += ["", "## Errors", ""]
    lines += _entries([site for site in found if not site.is_finding])
    lines += ["## Findings of the preflight", ""]
    lines += ["| check | what is true where it finds nothing |", "|---|---|"]
    lines += [f"| `{name}` | {about} |" for name, about in sorted(listed.items())]
    lines += ["", *_entries([site for site in findings if site.name in listed])]
    lines += ["## Findings of plans, runs and procedures", ""]
    lines += _entries([site for site in findings if site.name not in listed])
    lines += ["## Words of the interfaces", "", *_words()]
    return "\n".join(lines) + "\n"


def _entries(of: Sequence[Site]) -> list[str]:
    lines = []
    for name in sorted({site.name for site in of}):
        same = [site for site in of if site.name == name]
        kinds = sorted({site.kind for site in same if site.kind})
        lines += [f"### `{name}`", ""]
        lines += [f"Kind: {', '.join(kinds)}", ""] if kinds else []
        lines += [f"- {text}" for text in _each(site.texts for site in same)]
        lines += [f"- remedy: {remedy}" for remedy in _each(site.remedies for site in same)]
        lines.append("")
    return lines


def _each(of: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(_line(text) for texts in of for text in texts))


def _line(text: str) -> str:
    with facing("command"):
        shown = rendered(text)
    # Markdown takes a name in angle brackets for a tag, and stars for emphasis.
    return " ".join(shown.split()).replace("<", "\\<").replace("*", "\\*")


def _words() -> list[str]:
    lines = ["| command line | Python | Airflow |", "|---|---|---|"]
    for words in WORDS.values():
        shown = (words[face].replace("{}", "N") for face in ("command", "python", "airflow"))
        lines.append(f"| {' | '.join(shown)} |")
    return lines
