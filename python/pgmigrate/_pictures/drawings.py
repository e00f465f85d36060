"""Pictures within HTML, where the extra ``pgmigrate[plots]`` is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from pgmigrate._pictures.markup import Html, element, joined, note

if TYPE_CHECKING:
    from pgmigrate._pictures.charts import Picture

HOW_TO_DRAW: Final = "Pictures need the extra: pip install 'pgmigrate[plots]'."
_logger: Final = logging.getLogger("pgmigrate")


@cache
def can_draw() -> bool:
    """Whether the packages that draw are installed."""
    return all(find_spec(name) is not None for name in ("altair", "vl_convert"))


def pictures(*makers: Callable[[], Picture | None]) -> Html:
    """Pictures with their titles; a line that says how to get them where they cannot be drawn.

    Args:
        makers: each makes a picture, or None where there is nothing to see.
    """
    if not can_draw():
        return note(HOW_TO_DRAW)
    return joined(_figure(make) for make in makers)


def _figure(make: Callable[[], Picture | None]) -> Html:
    try:
        from pgmigrate._pictures.svg import drawn

        picture = make()
        if picture is None:
            return Html()
        words = joined([element("b", picture.title), element("span", picture.caption)])
        return element("figure", joined([element("figcaption", words), drawn(picture)]))
    except Exception as error:
        # Whatever the drawing library makes of it, the tables around the picture are not lost.
        _logger.warning("a picture could not be drawn: %s", error)
        return note(f"A picture could not be drawn: {error}")
