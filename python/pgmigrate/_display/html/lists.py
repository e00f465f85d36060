"""Lists that several views have: findings, what is not on the target, and what they leave out."""

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
"""How many rows a list has at most in a notebook."""

_ORDER: Final = {"blocking": 0, "warning": 1, "info": 2}


def left_out(found: Sequence[object], limit: int, noun: str) -> str:
    """What a list does not show of what there is; nothing where it shows all.

    Args:
        found: all there is.
        limit: how many are shown at most.
        noun: what one of them is called.
    """
    left = len(found) - limit
    return f"and {plural(left, noun)} more" if left > 0 else ""


def amounts(rows: int, bytes_: int) -> list[Number]:
    """Rows and bytes; nothing where there are none, for most phases have none."""
    return [Number(count(rows) if rows else ""), Number(size(bytes_) if bytes_ else "")]


def findings_list(findings: Sequence[Finding], limit: int, title: str = "Findings") -> Html:
    """Findings with their remedies, the gravest first."""
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
