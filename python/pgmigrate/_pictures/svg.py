"""A drawing as SVG inside a page, in the page's own colours and without a script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._pictures.markup import Html
from pgmigrate._pictures.style import LIGHT, variable

if TYPE_CHECKING:
    from pgmigrate._pictures.charts import Picture

_COLOUR: Final = re.compile(r'(fill|stroke)="(#[0-9a-f]{6})"')
# What a mark is about is told to who cannot see it; browsers show a title to who points at it.
_MARK: Final = re.compile(r'<path aria-label="([^"]*)"([^>]*)/>')
_OPENING: Final = re.compile(r"<svg [^>]*>")
_NAMES: Final = {colour: name for name, colour in LIGHT.items()}


def drawn(picture: Picture) -> Html:
    """The picture as an SVG element.

    Raises:
        ImportError: vl-convert is missing (``pip install 'pgmigrate[plots]'``).
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ImportError(
            "drawing a chart needs vl-convert-python: pip install 'pgmigrate[plots]'",
            name="vl_convert",
        ) from error
    chart: dict[str, Any] = picture.chart.to_dict()
    chart["config"]["background"] = "transparent"
    text: str = vl_convert.vegalite_to_svg(chart)
    text = _COLOUR.sub(_as_variable, text)
    text = _MARK.sub(r'<path aria-label="\1"\2><title>\1</title></path>', text)
    return Html(_OPENING.sub(_opening, text, count=1))


def _as_variable(match: re.Match[str]) -> str:
    name = _NAMES.get(match[2])
    return match[0] if name is None else f'{match[1]}="{variable(name)}"'


def _opening(match: re.Match[str]) -> str:
    """The element's own size goes: it is as wide as the page lets it be."""
    view = re.search(r'viewBox="[^"]*"', match[0])
    box = view[0] if view else ""
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>'
