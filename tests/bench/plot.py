"""The results as an SVG image: bars for each dataset, readable on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bench.results import Result, Summary
from bench.tools import LOWER_BOUND, PGMIGRATE

_WIDTH: Final = 880
_LABELS: Final = 270
_BARS: Final = 540
_LINE: Final = 18
_GAP: Final = 34
# Longer bars are cut, for the difference that matters is between the short ones.
_LONGEST: Final = 4.0

STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.bar { fill: #9aa4af; }
.own { fill: #1a7f5a; }
.one { stroke: #1f2328; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #6e7781; }
  .own { fill: #3fb68b; }
  .one { stroke: #e6edf3; }
}
"""


def svg(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """The image: wall time over the lower bound, or over pgmigrate's where that is missing.

    Args:
        results: the datasets.
        titles: tool -> what it is, in the order of the bars.
    """
    parts: list[str] = []
    top = 24
    for result in results:
        bars, reference = _ratios(result.summaries())
        head = f"{result.dataset}: wall time, {reference} = 1"
        parts.append(f'<text class="head" x="8" y="{top}">{escape(head)}</text>')
        first = top + 8
        shown = [tool for tool in titles if tool in bars]
        for number, tool in enumerate(shown):
            parts += _bar(titles[tool], bars[tool], first + number * _LINE, tool == PGMIGRATE.name)
        bottom = first + len(shown) * _LINE
        one = _LABELS + _BARS / _LONGEST
        parts.append(f'<line class="one" x1="{one}" x2="{one}" y1="{first}" y2="{bottom}"/>')
        top = bottom + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top - 12}" '
        f'width="{_WIDTH}">\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _ratios(summaries: Mapping[str, Summary]) -> tuple[dict[str, float], str]:
    if LOWER_BOUND.name in summaries or not summaries:
        reference, named = LOWER_BOUND.name, "the servers alone"
    elif PGMIGRATE.name in summaries:
        reference, named = PGMIGRATE.name, "pgmigrate"
    else:
        reference = named = min(summaries, key=lambda tool: summaries[tool].wall)
    return {tool: s.wall / summaries[reference].wall for tool, s in summaries.items()}, named


def _bar(title: str, ratio: float, top: float, own: bool) -> list[str]:
    length = _BARS * min(ratio, _LONGEST) / _LONGEST
    # Beyond the line at 1, which would run through the figure.
    label = _LABELS + max(length, _BARS / _LONGEST) + 6
    kind = "bar own" if own else "bar"
    more = " →" if ratio > _LONGEST else ""
    return [
        f'<text x="{_LABELS - 8}" y="{top + 13}" text-anchor="end">{escape(title)}</text>',
        f'<rect class="{kind}" x="{_LABELS}" y="{top + 2}" width="{length:.1f}" '
        f'height="{_LINE - 5}" rx="2"/>',
        f'<text x="{label:.1f}" y="{top + 13}">{ratio:.2f}{more}</text>',
    ]
