"""The view of each kind of result: the entry point for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._display.html.estimate_view import estimate_view
from pgmigrate._display.html.lists import SHORT, findings_list
from pgmigrate._display.html.plan_view import plan_view
from pgmigrate._display.html.run_view import report_view, status_view
from pgmigrate._display.html.verify_view import verify_view
from pgmigrate._display.markup import (
    Cell,
    Html,
    element,
    heading,
    joined,
    mark,
    section,
    table,
)
from pgmigrate._display.style import style_sheet
from pgmigrate._results.estimate import Estimate
from pgmigrate._results.plan import Plan
from pgmigrate._results.preflight import PreflightResult
from pgmigrate._results.report import Report
from pgmigrate._results.status import Status
from pgmigrate._results.verification import VerifyResult
from pgmigrate._values.humanize import plural

if TYPE_CHECKING:
    from pgmigrate._results.tabular import Tabular


def html_of(result: Tabular) -> str:
    """A result as a notebook shows it, with its own style sheet; one without a view as its text."""
    return framed(_VIEWS.get(type(result), text_view)(result))


def framed(content: str) -> Html:
    """The style sheet, then the content inside the element that the style sheet applies to."""
    style = Html(f"<style>{style_sheet()}</style>")
    return element("div", joined([style, content]), "pgm")


def text_view(result: Any) -> Html:
    """A result as plain text, for results without a view of their own."""
    return element("pre", result.text())


def preflight_view(result: PreflightResult) -> Html:
    """What preflight found; findings that block a run come first."""
    blocking = len(result.blocking)
    word = (
        mark("done", "a run may start") if result.ok else mark("blocking", f"{blocking} blocking")
    )
    found = plural(len(result.findings), "finding") if result.findings else "nothing found"
    listed = findings_list(result.findings, 10 * SHORT, "")
    rows: list[list[Cell]] = [[mark(of.state), of.about, of.check] for of in result.checks]
    checks = section("Checks", table(["", "holds where nothing is found", "check"], rows))
    return joined([heading("Preflight", word, found), listed, checks])


_VIEWS: Final[dict[type[Tabular], Callable[[Any], Html]]] = {
    Plan: plan_view,
    Report: report_view,
    PreflightResult: preflight_view,
    VerifyResult: verify_view,
    Estimate: estimate_view,
    Status: status_view,
}
