"""`--report FILE`: the page of a run, however the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pgmigrate import Report
from pgmigrate._bridge.files import write_atomically
from pgmigrate._bridge.job import logger
from pgmigrate.cli.call import DONE, LOST, Answer
from pgmigrate.errors import PgMigrateError


@contextmanager
def page_of_errors(path: Path | None) -> Iterator[None]:
    """Writes a page about the error if the block raises, so that no older page remains.

    Args:
        path: the page; none is written if None.
    """
    try:
        yield
    except PgMigrateError as error:
        _write(path, _page_of, error)
        raise


def with_page(answer: Answer, report: Report, path: Path | None) -> Answer:
    """Writes the report's page; returns the answer, with another exit code if that fails.

    Args:
        answer: what is printed.
        report: the report that the page shows.
        path: the page; none is written if None.
    """
    if path is None:
        return answer
    if _write(path, _report_page, report):
        return Answer(f"{answer.text}\nreport written to {path}", answer.data, answer.code)
    return Answer(answer.text, answer.data, LOST if answer.code == DONE else answer.code)


_About = TypeVar("_About")


def _write(path: Path | None, page: Callable[[_About], str], about: _About) -> bool:
    if path is None:
        return False
    try:
        write_atomically(path, [page(about).encode()])
    except Exception as error:
        # The run is over, and its output must not be lost because of the page.
        logger.error("the page %s could not be written: %s", path, error)
        return False
    return True


def _report_page(report: Report) -> str:
    from pgmigrate._display.html.page import report_page

    return report_page(report)


def _page_of(error: PgMigrateError) -> str:
    from pgmigrate._display.html.page import error_page

    return error_page(error)
