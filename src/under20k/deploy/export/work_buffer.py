"""One buffer for all feature maps of a network, as small as computing layer by layer allows.

A map is stored row by row. A layer computes the rows of its output from top to bottom, and a row of its
input is dead once the output has moved on. So the output may lie over the input as long as it starts early
enough: ``lead`` elements before it. Otherwise the two lie apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Map:
    """A feature map, and how the layer that reads it moves down its rows."""

    rows: int
    row_size: int
    """In elements: columns times channels."""
    stride: int = 1
    """Rows of this map for a row of the next one: 2 before max pooling."""
    padding: int = 0
    """Rows above this map that the next layer takes as zeros."""

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return self.rows * self.row_size


@dataclass(frozen=True)
class WorkBuffer:
    """Where each map starts in the buffer, in elements."""

    size: int
    offsets: tuple[int, ...]


def lead(before: Map, after: Map) -> int:
    """Return by how many elements the output must start before the input that it lies over."""
    first_rows = (max(0, before.stride * row - before.padding) for row in range(after.rows))
    return max((row + 1) * after.row_size - first * before.row_size for row, first in enumerate(first_rows))


def work_buffer(maps: Sequence[Map]) -> WorkBuffer:
    """Return the smallest buffer for maps that are each computed from the one before."""
    low, high = max(each.size for each in maps), sum(each.size for each in maps)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _offsets(maps, middle) else (middle + 1, high)
    return WorkBuffer(low, _offsets(maps, low))


def _offsets(maps: Sequence[Map], size: int) -> tuple[int, ...]:
    """Return the maps' offsets in a buffer of this size; nothing if it is too small.

    Of all offsets that a map can have, only the first and the last matter: the last leaves most room in front
    for the next map, the first most room behind.
    """
    extremes = [(0, size - maps[0].size)]
    for before, after in pairwise(maps):
        first, last = extremes[-1]
        in_front = range(last - lead(before, after) + 1)
        behind = range(first + before.size, size - after.size + 1)
        if not in_front and not behind:
            return ()
        bounds = [end for place in (in_front, behind) if place for end in (place[0], place[-1])]
        extremes.append((min(bounds), max(bounds)))
    offsets = [extremes[-1][0]]
    for before, after, (first, last) in zip(maps[-2::-1], maps[:0:-1], extremes[-2::-1], strict=True):
        offsets.insert(0, last if offsets[0] + lead(before, after) <= last else first)
    return tuple(offsets)
