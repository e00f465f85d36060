"""Lists of several views: findings, what is not on the target, and how much a list omits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pgmigrate._display.markup import (
    Cell,
    Html,
    Number,
    element,
    joined,
    mark,
    note,
    section,
    table,
)
from pgmigrate._values.finding import Absent, Finding
from pgmigrate._values.humanize import count, plural, size

SHORT: Final = 15
"""The largest number of rows of a list in a notebook."""

_ORDER: Final = {"blocking": 0, "warning": 1, "info": 2}


def left_out(found: Sequence[object], limit: int, noun: str) -> str:
    """A line that says how many items a list omits; empty if it shows all.

    Args:
        found: all items.
        limit: the largest number of items that are shown.
        noun: the name of one item.
    """
    left = len(found) - limit
    return f"and {plural(left, noun)} more" if left > 0 else ""


def amounts(rows: int, bytes_: int) -> list[Number]:
    """Rows and bytes; empty where there are none, because most phases have none."""
    return [Number(count(rows) if rows else ""), Number(size(bytes_) if bytes_ else "")]


def findings_list(findings: Sequence[Finding], limit: int, title: str = "Findings") -> Html:
    """Findings with their remedies, the most severe first."""
    found = sorted(findings, key=lambda finding: _ORDER.get(finding.severity, len(_ORDER)))
    rows: list[list[Cell]] = [
        [
            mark(finding.severity),
            finding.object,
            joined(
                [
                    finding.message,
                    element("span", finding.remedy, "pgm-remedy") if finding.remedy else "",
                ]
            ),
        ]
        for finding in found[:limit]
    ]
    shown = table(["", "object", "finding and remedy"], rows, is_words=True)
    return section(title, shown, note(left_out(found, limit, "finding")))


def absent_list(absent: Sequence[Absent], limit: int) -> Html:
    """What the target will not have, and why."""
    rows: list[list[Cell]] = [[item.kind, item.object, item.reason] for item in absent[:limit]]
    shown = table(["kind", "object", "reason"], rows, is_words=True)
    return section("Not on the target", shown, note(left_out(absent, limit, "object")))
