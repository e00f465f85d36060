"""Words that are not used any more, in code, messages and documents, each with its replacement.

The letter in brackets keeps a pattern from being found in this file. Words that have a good use,
too, are barred only in the phrases or as the types in which they were used.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
# Also within identifiers; a type's name is retired in its own spelling.
WORDS: Final[dict[str, str]] = {
    r"[l]ook(s|ed|ing)? over": "inspect",
    r"[l]ooked at": "inspected",
    r"[w]ish(es|ed)?": "stop request",
    r"[h]eed(s|ed)?": "check",
    r"[a]nnounce(s|d|ments?)?": "snapshot lease, register",
    r"[w]ithdr[ae]w(s|n|al)?": "deregister",
    r"[c]ircles?": "cycle",
    r"[h]alt(s|ed)?": "stop",
    r"[a]dapt(s|ed|ations?)?": "column mapping",
    r"[a]like": "same binary layout, equal",
    r"[o]utset": "prerequisites",
    r"[r]eplay(s|ed)? (a|the) (archive|backup)": "restore",
    r"[m]ask(s|ed)?": "redact",
    r"[t]old": "reported",
    r"[t]ells?": "report, emit",
    r"[a]new": "again",
    r"[b]eside": "besides, next to, alongside",
    r"[n]obody('s)?": "no session, no process",
    r"[w]hoever": "the caller",
    r"([c]om(e|es|ing)|[c]ame) along": "is included",
    r"([b]ring(s|ing)?|[b]rought)( \w+)? along": "copy, have",
    r"[h]eard": "received",
    r"(without|worth) a [w]ord": "without a message",
    r"[o]urs": "from this run",
    r"[s]ittings?": "session",
    r"(stop|end)(s|ped|ed)? in [o]rder(?! (to|of|by))": "cleanly",
    r"what is [t]hought": "the estimate",
    r"[l]ive (tables?|targets?|foreign keys?)": "existing tables, load constraints",
    r"[s]everal states": "rows come from 2 snapshots",
}
TYPES: Final[dict[str, str]] = {
    "[E]nds": "connections",
    "[S]top": "StopToken",
    "[J]udge": "type compatibility",
    "[T]win": "target column",
    "[F]it": "same binary layout",
    "[W]ords?": "Interned, Interner",
    "[D]raft": "PlanDraft",
    "[U]nfinished": "plan draft",
    "[F]orm": "task execution",
    "[F]orward": "advance",
    "[P]ast": "run history",
    "[G]round": "matched relations",
    "[C]loser": "definition comparer",
    "[S]uspect": "mismatch",
    "[P]rospect": "preflight settings",
    "[S]urroundings": "command environment",
    "[E]nded": "command result",
    "[P]erformer": "script runner",
}
# Where a retired word is meant as it is used everywhere.
ACCEPTED: Final[dict[str, str]] = {
    "<circle": "an element of SVG",
    "circle.": "a selector of such elements",
    "great_circle": "a distance on the globe",
    "circ circle": "a type of PostgreSQL",
    "announced   timestamptz": "a column of ledgers that exist",
    "announced = now()": "the same column",
    "s.announced": "the same column",
    "--halt=": "an option of GNU parallel",
    "'nobody''s'": "a literal of a policy",
    '"nobody", "daemon"': "accounts of Unix",
    "`foreign_key_circle`": "the former name of a check",
}
BINARY: Final = {".png", ".so", ".gz"}

_PATTERNS: Final = [
    *(
        (re.compile(rf"(?<![a-z]){word}(?![a-z])", re.IGNORECASE), new)
        for word, new in WORDS.items()
    ),
    *(
        (re.compile(rf"\b(struct|enum|class|trait|type) {word}\b"), new)
        for word, new in TYPES.items()
    ),
]


def files() -> list[Path]:
    """Every file of text that git tracks, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in listed.stdout.splitlines())
    return [path for path in paths if path.suffix not in BINARY and path.is_file()]


def retired(text: str) -> Iterator[str]:
    """The lines with a retired word, each with what to write instead."""
    for accepted in ACCEPTED:
        text = text.replace(accepted, "")
    for pattern, new in _PATTERNS:
        for found in pattern.finditer(text):
            number = text.count("\n", 0, found.start())
            line = text.splitlines()[number].strip()
            yield f"{number + 1}: `{found[0]}`: write {new}: {line[:120]}"


def test_no_file_has_a_retired_word() -> None:
    found = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        found += [f"{name}:{line}" for line in retired(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "is_retired"),
    [
        ("the target is to{} of it", True),
        ("fn is_to{}_twice() {{", True),
        ("TO{} = 1", True),
        ("unto{}", False),
        ("tol{}", False),
    ],
)
def test_a_word_is_found_in_texts_and_identifiers(line: str, is_retired: bool) -> None:
    assert bool(list(retired(line.format("ld")))) == is_retired


def test_a_type_is_found_where_it_is_declared() -> None:
    assert list(retired("pub struct Dra" + "ft {"))
    assert not list(retired("a draft of a form"))
