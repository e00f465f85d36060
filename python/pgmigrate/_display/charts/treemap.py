"""Positions of the tiles of a treemap: areas in proportion to sizes, tiles close to squares.

The algorithm is that of Bruls, Huizing and van Wijk, Squarified Treemaps (2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A rectangle; the origin is the upper left corner."""

    left: float
    top: float
    width: float
    height: float


def tiles(sizes: Sequence[float], width: float, height: float) -> list[Tile]:
    """A tile for each size.

    Args:
        sizes: in descending order, all above zero.
        width: of the whole.
        height: of the whole.
    """
    scale = width * height / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    free = Tile(0.0, 0.0, width, height)
    found: list[Tile] = []
    at = 0
    while at < len(areas):
        side = min(free.width, free.height)
        count = 1
        while at + count < len(areas) and _worst(areas[at : at + count + 1], side) <= _worst(
            areas[at : at + count], side
        ):
            count += 1
        row, free = _lay(areas[at : at + count], free)
        found += row
        at += count
    return found


def _worst(areas: Sequence[float], side: float) -> float:
    """The largest ratio of two sides in a row of tiles along a side."""
    total = sum(areas)
    return max(max(side**2 * area / total**2, total**2 / (side**2 * area)) for area in areas)


def _lay(areas: Sequence[float], free: Tile) -> tuple[list[Tile], Tile]:
    """A row of tiles along the shorter side of the free area, and the free area that remains."""
    total = sum(areas)
    is_column = free.width >= free.height
    side = free.height if is_column else free.width
    depth = total / side
    row = []
    offset = 0.0
    for area in areas:
        length = area / depth
        if is_column:
            row.append(Tile(free.left, free.top + offset, depth, length))
        else:
            row.append(Tile(free.left + offset, free.top, length, depth))
        offset += length
    if is_column:
        return row, Tile(free.left + depth, free.top, max(free.width - depth, 0.0), free.height)
    return row, Tile(free.left, free.top + depth, free.width, max(free.height - depth, 0.0))
