"""Drawings as SVG inside a page, in the page's own colours and without a script.

The drawing library ends the whole process on some inputs, which no exception handler can catch.
It runs in a separate process, so that neither a run's report nor a notebook's kernel is lost.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from pgmigrate._display.markup import Html
from pgmigrate._display.style import LIGHT, variable

_SECONDS_AT_MOST: Final = 120.0
# One line for each drawing, written as soon as it is done: the first missing line belongs to the
# drawing that ended the process.
_CHILD: Final = """
import json, sys
asked = json.load(sys.stdin)
sys.path[:] = asked["path"]
import vl_convert
for chart in asked["charts"]:
    try:
        answer = {"svg": vl_convert.vegalite_to_svg(chart)}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""
_COLOUR: Final = re.compile(r'(fill|stroke)="(#[0-9a-f]{6})"')
# Screen readers read the description of a mark; browsers show a title under the mouse pointer.
_MARK: Final = re.compile(r'<path aria-label="([^"]*)"([^>]*)/>')
_OPENING: Final = re.compile(r"<svg [^>]*>")
_VIEW: Final = re.compile(r'viewBox="[^"]*"')
_NAMES: Final = {colour: name for name, colour in LIGHT.items()}


class DrawingError(Exception):
    """A chart could not be drawn."""


def draw(charts: Sequence[dict[str, Any]]) -> list[Html | DrawingError]:
    """Each chart as an SVG element, or the error that prevented it.

    Args:
        charts: the charts, as Vega-Lite specifications.
    """
    drawn: list[Html | DrawingError] = []
    while len(drawn) < len(charts):
        answers, reason = _ask(charts[len(drawn) :])
        drawn += [_as_drawing(answer) for answer in answers]
        if len(drawn) < len(charts):
            drawn.append(DrawingError(reason))
    return drawn


def _ask(charts: Sequence[dict[str, Any]]) -> tuple[list[dict[str, str]], str]:
    """The answers of a new process, and the reason if there are fewer answers than charts."""
    asked = json.dumps({"path": sys.path, "charts": charts})
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=asked,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS_AT_MOST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return answers, f"the drawing process ended with {done.returncode}"


def _as_drawing(answer: dict[str, str]) -> Html | DrawingError:
    if "svg" not in answer:
        return DrawingError(answer["error"])
    text = _COLOUR.sub(_as_variable, answer["svg"])
    text = _MARK.sub(r'<path aria-label="\1"\2><title>\1</title></path>', text)
    return Html(_OPENING.sub(_opening, text, count=1))


def _as_variable(match: re.Match[str]) -> str:
    name = _NAMES.get(match[2])
    return match[0] if name is None else f'{match[1]}="{variable(name)}"'


def _opening(match: re.Match[str]) -> str:
    """The opening tag without the element's own size, so that it takes the page's width."""
    view = _VIEW.search(match[0])
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {view[0] if view else ""}>'
