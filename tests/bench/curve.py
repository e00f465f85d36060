"""Curves over sizes as an SVG image, both axes logarithmic: what is linear is a straight line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bench.plot import STYLE

_PANEL: Final = 420
_LEFT: Final = 56
_WIDTH: Final = 330
_TOP: Final = 34
_HEIGHT: Final = 240
_CURVES: Final = ("own", "bar", "third")
_LINES: Final = """
polyline { fill: none; stroke-width: 2; }
polyline.own, circle.own { stroke: #1a7f5a; }
polyline.bar, circle.bar { stroke: #9aa4af; }
polyline.third, circle.third { stroke: #b5651d; }
circle.third { fill: #b5651d; }
.grid { stroke: #9aa4af; stroke-opacity: 0.35; }
"""

Curves = Mapping[str, Sequence[float]]
"""Name -> a value for each size."""


def svg(unit: str, sizes: Sequence[int], panels: Mapping[str, Curves]) -> str:
    """The image.

    Args:
        unit: what the sizes count.
        sizes: in ascending order.
        panels: the unit of its values -> curves; side by side.
    """
    parts: list[str] = []
    for number, (title, curves) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({number * _PANEL} 0)">')
        parts += _panel(f"{title} by {unit}", sizes, curves)
        parts.append("</g>")
    width, height = _PANEL * len(panels), _TOP + _HEIGHT + 96
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}">\n<style>{STYLE}{_LINES}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(title: str, sizes: Sequence[int], curves: Curves) -> list[str]:
    across = _Axis(sizes)
    up = _Axis([value for values in curves.values() for value in values])
    parts = [f'<text class="head" x="{_LEFT}" y="20">{escape(title)}</text>']
    for value in up.powers():
        y = _TOP + _HEIGHT * (1 - up.share(value))
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>',
        ]
    for size in sizes:
        x = _LEFT + _WIDTH * across.share(size)
        text = f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{size:,}</text>'
        parts.append(text)
    for number, (name, values) in enumerate(curves.items()):
        points = [
            (_LEFT + _WIDTH * across.share(size), _TOP + _HEIGHT * (1 - up.share(value)))
            for size, value in zip(sizes, values, strict=True)
        ]
        parts += _curve(_CURVES[number], name, points, _TOP + _HEIGHT + 42 + 18 * number)
    return parts


def _curve(kind: str, name: str, points: Sequence[tuple[float, float]], legend: int) -> list[str]:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [
        f'<polyline class="{kind}" points="{line}"/>',
        *(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points),
        f'<circle class="{kind}" cx="{_LEFT + 4}" cy="{legend - 4}" r="4"/>',
        f'<text x="{_LEFT + 14}" y="{legend}">{escape(name)}</text>',
    ]


class _Axis:
    """Whole powers of ten around some values."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self._low = math.floor(math.log10(min(positive)))
        self._high = max(math.ceil(math.log10(max(positive))), self._low + 1)

    def powers(self) -> list[float]:
        return [10.0**exponent for exponent in range(self._low, self._high + 1)]

    def share(self, value: float) -> float:
        """Where a value stands between both ends, from 0 to 1."""
        exponent = math.log10(value) if value > 0 else self._low
        return (exponent - self._low) / (self._high - self._low)
