"""A plan as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgmigrate._display.charts.sizes import table_sizes
from pgmigrate._display.html.figures import pictures
from pgmigrate._display.html.lists import SHORT, absent_list, amounts, findings_list, left_out
from pgmigrate._display.markup import (
    Cell,
    Html,
    Number,
    facts,
    heading,
    joined,
    note,
    section,
    table,
)
from pgmigrate._results.plan import Plan
from pgmigrate._values.humanize import count, plural, size

if TYPE_CHECKING:
    from pgmigrate._display.charts.charts import Picture


def plan_view(plan: Plan) -> Html:
    """A plan: its phases, its largest tables, and what planning found."""
    sums = plan._sums()
    sizes = table_sizes(plan)
    tasks = sum(own for _, own, _, _ in sums)
    rows = sum(about for _, _, about, _ in sums)
    bytes_ = sum(total for _, _, _, total in sums)
    shown = facts(
        [
            ("tasks", count(tasks)),
            ("tables", count(len(sizes))),
            ("rows, about", count(rows)),
            ("bytes, about", size(bytes_)),
            *_origin(plan),
        ]
    )
    grave = [finding for finding in plan.findings if finding.severity != "info"]
    others = [finding for finding in plan.findings if finding.severity == "info"]
    largest = max((of.bytes for of in sizes), default=0)
    return joined(
        [
            heading("Plan", lead=f"{plural(len(sums), 'phase')}, nothing has been changed yet"),
            shown,
            findings_list(grave, SHORT),
            pictures(lambda: _picture(plan)),
            section("Phases", _plan_phases(sums)),
            section(
                "Largest tables",
                table(
                    ["table", "bytes (about)", "rows (about)", "tasks"],
                    [
                        [
                            of.table,
                            Number(size(of.bytes), of.bytes / largest if largest else 0.0),
                            Number(count(of.rows)),
                            Number(count(of.tasks)),
                        ]
                        for of in sizes[:SHORT]
                    ],
                ),
                note(left_out(sizes, SHORT, "table")),
            ),
            findings_list(others, SHORT, "More findings" if grave else "Findings"),
            absent_list(plan.absent, SHORT),
        ]
    )


def _picture(plan: Plan) -> Picture | None:
    from pgmigrate._display.charts.charts import treemap

    return treemap(plan)


def _origin(plan: Plan) -> list[tuple[str, str]]:
    version = plan.header.get("source_version")
    words = [("source", f"PostgreSQL {version // 10000}.{version % 10000}")] if version else []
    fingerprint = str(plan.header.get("fingerprint", ""))[:12]
    return [*words, ("fingerprint", fingerprint)] if fingerprint else words


def _plan_phases(sums: Sequence[tuple[str, int, int, int]]) -> Html:
    tasks = sum(own for _, own, _, _ in sums)
    rows = sum(about for _, _, about, _ in sums)
    bytes_ = sum(total for _, _, _, total in sums)
    largest = max((of[1] for of in sums), default=1)

    def line(phase: str, own: int, about: int, total: int) -> list[Cell]:
        return [phase, Number(count(own), own / largest), *amounts(about, total)]

    return table(
        ["phase", "tasks", "rows (about)", "bytes (about)"],
        [line(*of) for of in sums],
        total=["total", Number(count(tasks)), *amounts(rows, bytes_)],
    )
