"""An estimate as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmigrate._display.html.figures import can_draw, pictures
from pgmigrate._display.html.lists import SHORT, left_out
from pgmigrate._display.markup import (
    Cell,
    Html,
    Number,
    element,
    facts,
    heading,
    joined,
    note,
    section,
    table,
)
from pgmigrate._results.estimate import Estimate
from pgmigrate._values.humanize import count, duration, plural, size, titled

if TYPE_CHECKING:
    from pgmigrate._display.charts.charts import Picture


def estimate_view(estimate: Estimate) -> Html:
    """An estimate: the time, the time by number of jobs, and the critical path."""
    kind = "" if estimate.calibrated else "by typical rates, not measured ones"
    chain = sorted(estimate.chain, key=lambda step: -step.seconds)[:SHORT]
    work = max((of.work for of in estimate.tables), default=0.0)
    return joined(
        [
            heading("Estimate", f"about {duration(estimate.seconds)}", kind),
            facts(
                [
                    ("jobs", count(estimate.jobs)),
                    ("if all goes well", duration(estimate.low)),
                    ("if all goes badly", duration(estimate.high)),
                    ("before the first task", duration(estimate.preparation)),
                ]
            ),
            pictures(lambda: _picture(estimate)),
            section("With other numbers of jobs", _by_jobs(estimate)),
            section("Phases", _estimated_phases(estimate)),
            section(
                "Critical path",
                table(
                    ["task", "phase", "starts at", "takes"],
                    [
                        [
                            titled(step.kind, step.object)
                            + (f" and {plural(step.tasks - 1, 'more')}" if step.tasks > 1 else ""),
                            step.phase,
                            Number(duration(step.starts)),
                            Number(duration(step.seconds), step.seconds / estimate.seconds),
                        ]
                        for step in estimate.chain
                        if step in chain
                    ],
                ),
                note(left_out(estimate.chain, SHORT, "shorter link")),
            ),
            section(
                "Busiest tables",
                table(
                    ["table", "bytes (about)", "work"],
                    [
                        [
                            of.table,
                            Number(size(of.bytes)),
                            Number(duration(of.work), of.work / work),
                        ]
                        for of in estimate.tables[:SHORT]
                        if of.work > 0
                    ],
                ),
                note(left_out(estimate.tables, SHORT, "table")),
            ),
            section("Notes", joined(element("p", text) for text in estimate.notes)),
        ]
    )


def _picture(estimate: Estimate) -> Picture | None:
    from pgmigrate._display.charts.charts import by_jobs

    return by_jobs(estimate)


def _by_jobs(estimate: Estimate) -> Html:
    """The times by number of jobs as a table, used if there is no picture of them."""
    if can_draw():
        return Html()
    longest = max((one.seconds for one in estimate.by_jobs), default=0.0)
    rows: list[list[Cell]] = [
        [
            Number(str(one.jobs)),
            Number(duration(one.seconds), one.seconds / longest if longest else 0.0),
            Number(duration(one.low)),
            Number(duration(one.high)),
        ]
        for one in estimate.by_jobs
    ]
    return table(["jobs", "time", "optimistic", "pessimistic"], rows)


def _estimated_phases(estimate: Estimate) -> Html:
    longest = max((phase.seconds for phase in estimate.phases), default=0.0)
    rows: list[list[Cell]] = [
        [
            phase.phase,
            Number(count(phase.tasks)),
            Number(duration(phase.starts)),
            Number(duration(phase.seconds), phase.seconds / longest if longest else 0.0),
            Number(duration(phase.work)),
        ]
        for phase in estimate.phases
    ]
    return table(["phase", "tasks", "starts at", "takes", "work"], rows)
