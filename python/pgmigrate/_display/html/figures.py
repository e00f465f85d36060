"""Pictures within HTML, if the extra ``pgmigrate[plots]`` is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from pgmigrate._bridge.logs import SteadyLogger
from pgmigrate._display.markup import Html, element, joined, note

if TYPE_CHECKING:
    from pgmigrate._display.charts.charts import Picture

HOW_TO_DRAW: Final = "Pictures need the extra: pip install 'pgmigrate[plots]'."
_logger: Final = SteadyLogger("pgmigrate")


def can_draw() -> bool:
    """Whether the packages that draw are installed."""
    return all(find_spec(name) is not None for name in ("altair", "vl_convert"))


def pictures(*makers: Callable[[], Picture | None]) -> Html:
    """Pictures with their titles; if they cannot be drawn, a line that says how to get them.

    Args:
        makers: each makes a picture, or returns None if there is nothing to draw.
    """
    if not can_draw():
        return note(HOW_TO_DRAW)
    try:
        made = [picture for picture in (make() for make in makers) if picture is not None]
        return _figures(made)
    except Exception as error:
        # An error of the drawing library must not lose the tables around the pictures.
        return _failure(error)


def _figures(made: Sequence[Picture]) -> Html:
    from pgmigrate._display.charts.svg import DrawingError, draw

    drawn = draw([picture.specification() for picture in made])
    return joined(
        _failure(drawing) if isinstance(drawing, DrawingError) else _figure(picture, drawing)
        for picture, drawing in zip(made, drawn, strict=True)
    )


def _figure(picture: Picture, drawing: Html) -> Html:
    words = joined([element("b", picture.title), element("span", picture.caption)])
    return element("figure", joined([element("figcaption", words), drawing]))


def _failure(error: Exception) -> Html:
    _logger.warning("a picture could not be drawn: %s", error)
    return note(f"A picture could not be drawn: {error}")
