"""The module of closed sets, `python/pgmigrate/_values/sets.py`, from the core's sources."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from reference.public import PACKAGE

MODULE: Final = PACKAGE / "_values" / "sets.py"

# Those whose values results and events show.
PUBLIC: Final = (
    "Phase",
    "TaskStatus",
    "RunState",
    "ReportStatus",
    "HoldStatus",
    "Severity",
    "CheckState",
    "Verdict",
    "TableStatus",
    "DifferenceKind",
    "Became",
)

_HEAD: Final = '''\
"""The closed sets of the core, as types. Written by `python tests/reference` from its sources."""

from typing import Literal, TypeAlias
'''
_DECLARED: Final = re.compile(r"^closed_set! \{\n(.*?)^\}", re.M | re.S)
_NAME: Final = re.compile(r"^    pub enum (\w+), ", re.M)
_WIDTH: Final = 100


def declared() -> dict[str, tuple[str, list[str]]]:
    """Every closed set of the core: its name -> what it is, and the texts of its values."""
    found = {}
    for path in _sources():
        for block in _DECLARED.findall(path.read_text(encoding="utf-8")):
            name = _NAME.search(block)
            assert name is not None, block
            head = re.findall(r"^    /// (.*)$", block[: name.start()], re.M)
            found[name[1]] = " ".join(head), re.findall(r'^        \w+ = "([^"]+)",$', block, re.M)
    return found


def module() -> str:
    """The text of the module."""
    sets = declared()
    return _HEAD + "".join(f"\n{_alias(name, *sets[name])}" for name in PUBLIC)


def _alias(name: str, meaning: str, texts: list[str]) -> str:
    quoted = [f'"{text}"' for text in texts]
    line = f"{name}: TypeAlias = Literal[{', '.join(quoted)}]"
    if len(line) > _WIDTH:
        line = "\n".join([f"{name}: TypeAlias = Literal[", *(f"    {one}," for one in quoted), "]"])
    return f'{line}\n"""{meaning}"""\n'


def _sources() -> list[Path]:
    return sorted((PACKAGE.parents[1] / "src").rglob("*.rs"))
