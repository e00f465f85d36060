"""Quantities and tables as people read them on a console."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column flush left, the others flush right."""
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in cells
    ]
