"""Cut digits that touch: along the path from top to bottom that crosses the least ink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.blobs import Blob, cropped

SLANT = 0.06
"""Cost of a path's step aside, as a fraction of a pixel of ink."""


def cuts(blob: Blob, height: float) -> list[tuple[Blob, ...]]:
    """Return the ways in which a blob may be several digits of about ``height`` pixels, likeliest first.

    An empty list means that it is certainly one.
    """
    tall = max(0.6 * height, min(blob.height, 1.3 * height))
    ratio = blob.width / tall
    if ratio < 0.62:
        return []
    ways: list[tuple[Blob, ...]] = []
    for count in range(2, 7):
        if not 0.22 * count < ratio < 1.3 * count:
            continue
        ways += _cut(blob, count, tall)
    return ways


def _cut(blob: Blob, count: int, tall: float) -> list[tuple[Blob, ...]]:
    """Return ways to cut a blob into ``count`` pieces."""
    width = blob.width
    if count == 2:
        middles: list[list[float]] = [[0.5], [0.36], [0.64], [0.25], [0.75]]
        reach = 0.09
    elif count == 3:
        middles = [[1 / 3, 2 / 3], [0.25, 0.6], [0.4, 0.75], [0.25, 0.5], [0.5, 0.75], [0.4, 0.6]]
        reach = 0.08
    else:
        middles, reach = [[step / count for step in range(1, count)]], 0.35 / count
    found: dict[bytes, tuple[Blob, ...]] = {}
    for around in middles:
        paths = [
            _path(blob.mask, (at - reach) * width, (at + reach) * width, max(2.0, 0.15 * tall))
            for at in around
        ]
        pieces = _pieces(blob, paths)
        if len(pieces) == count and all(piece.height > 0.4 * tall for piece in pieces):
            found.setdefault(np.stack(paths).tobytes(), pieces)
    return list(found.values())


def _path(mask: NDArray[np.bool_], low: float, high: float, reach: float) -> NDArray[np.int64]:
    """Return the column, for each row, of the cheapest path that crosses the middle between two columns.

    It may leave that range by ``reach`` pixels.
    """
    rows, columns = mask.shape
    first, last = max(0, int(low - reach)), min(columns, int(high + reach) + 1)
    position = np.arange(first, last)
    outside = np.maximum(0, np.maximum(low - position, position - high)) / reach
    cost = mask[:, first:last] + 0.3 * outside**2 + 0.001
    total = np.empty_like(cost)
    total[0] = cost[0]
    for row in range(1, rows):
        before = total[row - 1]
        best = before.copy()
        best[1:] = np.minimum(best[1:], before[:-1] + SLANT)
        best[:-1] = np.minimum(best[:-1], before[1:] + SLANT)
        total[row] = best + cost[row]
    path = np.empty(rows, np.int64)
    at = int(total[-1].argmin())
    for row in range(rows - 1, -1, -1):
        path[row] = first + at
        if row:
            steps = [step for step in (at, at - 1, at + 1) if 0 <= step < last - first]
            at = min(steps, key=lambda step: total[row - 1, step] + (SLANT if step != at else 0))
    return path


def _pieces(blob: Blob, paths: list[NDArray[np.int64]]) -> tuple[Blob, ...]:
    """Return what lies between the paths, from left to right."""
    column = np.arange(blob.width)[None]
    number = sum((column >= path[:, None]).astype(int) for path in paths)
    masks = [blob.mask & (number == index) for index in range(len(paths) + 1)]
    return tuple(cropped(blob.top, blob.left, mask, blob.level) for mask in masks if mask.any())
