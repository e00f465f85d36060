"""The page of a report: one file that loads nothing else, for a browser, a ticket or a printer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgmigrate import _native
from pgmigrate._display.html.lists import findings_list
from pgmigrate._display.html.run_view import report_view
from pgmigrate._display.html.views import framed
from pgmigrate._display.markup import Html, element, escaped, heading, joined, mark, note, section
from pgmigrate.errors import ConfigError, PreflightError

if TYPE_CHECKING:
    from pgmigrate._results.report import Report
    from pgmigrate.errors import PgMigrateError

_LIMIT: Final = 500
# The page around the element that the style sheet is for.
_PAGE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; background: #ffffff; }
@media (prefers-color-scheme: dark) { body { background: #161a20; } }
.pgm { margin: 0 auto; padding: 28px 24px 48px; font-size: 14px; }
@media print { body { background: #ffffff; } .pgm { padding: 0; } @page { margin: 14mm; } }
"""


def report_page(report: Report) -> str:
    """The page of a report.

    Args:
        report: what a run did.
    """
    title = f"{'dry run' if report.run is None else f'run {report.run}'}: {report.status}"
    return _page(title, report_view(report, _LIMIT, with_keys=False))


def error_page(error: PgMigrateError) -> str:
    """The page of a run that ended before it had a report.

    Args:
        error: what ended it.
    """
    is_unbegun = isinstance(error, ConfigError | PreflightError)
    word = "not begun" if is_unbegun else "ended early"
    lead = (
        "this run touched nothing on the target"
        if is_unbegun
        else "what was finished before is kept, and in the target's ledger"
    )
    remedy = note(f"Remedy: {error.remedy}") if error.remedy else Html()
    content = [
        heading("Run", mark("failed", word), lead),
        section("What happened", element("p", error.message), remedy, of="pgm-alarm"),
        findings_list(getattr(error, "findings", ()), _LIMIT),
    ]
    return _page(f"run {word}", joined(content))


def _written() -> Html:
    return element("section", note(f"Written by pgmigrate {_native.version()}."))


def _page(title: str, content: Html) -> str:
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # The page must load nothing, whatever a name from a database contains.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        f"<title>pgmigrate, {escaped(title)}</title><style>{_PAGE}</style></head>"
        f"<body>{framed(joined([content, _written()]))}</body></html>\n"
    )
