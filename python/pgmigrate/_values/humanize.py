"""Quantities, tables and names as people read them on a console."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec

P = ParamSpec("P")

# Control characters except tab and newline, including the C1 set, which a terminal interprets;
# other line separators; characters that change the writing direction; and surrogates, which no
# stream can encode.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""A text with escapes such as ``\x1b`` for characters that a terminal would interpret.

    Names of objects and the output of commands may contain any character. All text for a console or
    a log goes through this function; values that a program reads keep their characters.
    """
    # Most texts are printable, and this check takes a tenth of the time.
    return text if text.isprintable() else _UNPRINTABLE.sub(_escape, text)


def printed(method: Callable[P, str]) -> Callable[P, str]:
    """Makes a method's text `printable`."""

    @wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> str:
        return printable(method(*args, **kwargs))

    return wrapper


def printable_json(value: Any, *, ascii_only: bool = False) -> str:
    """A value as JSON for a console: the same value, with terminal control characters escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == ord("\r"):
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def count(number: int) -> str:
    """A number with separators."""
    return f"{number:,}"


def brief_count(number: int) -> str:
    """A number in at most three digits and a unit: ``512``, ``12.3 k``, ``4.7 M``."""
    if number < 1000:
        return str(number)
    short = number / 1000
    for unit in ("k", "M", "G"):
        if short < 1000 or unit == "G":
            break
        short /= 1000
    return f"{short:.1f} {unit}"


def plural(number: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# Kinds of archive entries whose names are not the words of PostgreSQL's manual.
_KINDS: Final = {
    "acl": ("privilege list", "privilege lists"),
    "default acl": ("default privilege list", "default privilege lists"),
    "fk constraint": ("foreign key", "foreign keys"),
    "index": ("index", "indexes"),
    "index attach": ("index attachment", "index attachments"),
    "operator class": ("operator class", "operator classes"),
    "row security": ("table with row security", "tables with row security"),
    "sequence owned by": ("OWNED BY of a sequence", "OWNED BY of sequences"),
    "statistics": ("statistics object", "statistics objects"),
    "table attach": ("partition attachment", "partition attachments"),
}


def objects(number: int, kind: str) -> str:
    """Objects of a kind of archive entry: ``1 index``, ``2 policies``, ``3 foreign keys``."""
    one, many = _KINDS.get(kind, (kind, f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"))
    return f"{number:,} {one if number == 1 else many}"


def titled(kind: str, object: str) -> str:
    """A task's object after its kind, unless it says itself what it is: ``large object 7001``."""
    return object if object.startswith("large object") else f"{kind} {object}"


def size(number: float) -> str:
    """Bytes in the units that PostgreSQL uses (powers of 1024)."""
    if number < 1024:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1024
        if number < 1024 or unit == "TB":
            break
    return f"{number:.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds as ``0.4 s``, ``12 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def fitted_to(text: str, width: int) -> str:
    """A text whose lines are no longer than `width`, unless a single word is longer.

    Lines are broken between words and keep their indentation; a table loses columns from the
    right. Two or more lines with aligned cells are a table. A line with a command is not broken, so
    that it can be copied.
    """
    lines: list[str] = []
    table: list[str] = []
    for line in [*text.split("\n"), ""]:
        if _GAP.search(line.strip()):
            table.append(line)
            continue
        lines += _fitted_table(table, width)
        table.clear()
        lines += _fitted_line(line, width)
    return "\n".join(lines[:-1])


def _fitted_line(line: str, width: int) -> list[str]:
    if len(line) <= width or "pgmigrate " in line:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def _fitted_table(lines: Sequence[str], width: int) -> list[str]:
    if not lines or max(map(len, lines)) <= width:
        return list(lines)
    cells = [_GAP.split(line.strip()) for line in lines]
    if not _is_table(lines, cells):
        return [part for line in lines for part in _fitted_line(line, width)]
    while True:
        cells = [row[:-1] for row in cells]
        shown = columns(cells[0], cells[1:])
        if max(map(len, shown)) <= width or len(cells[0]) <= 2:
            return shown


def _is_table(lines: Sequence[str], cells: Sequence[Sequence[str]]) -> bool:
    """Whether the lines are a table, as `columns` makes it, and not text with wide gaps."""
    if len(lines) < 2 or len({len(row) for row in cells}) != 1:
        return False
    return columns(cells[0], cells[1:]) == [line.rstrip() for line in lines]


_GAP: Final = re.compile(" {2,}")


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column left-aligned, the others right-aligned."""
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in cells
    ]
