"""Cut digits that touch: along paths from top to bottom that cross little ink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from under20k.data.images.blobs import Blob, cropped

Paths = NDArray[np.int64]
"""(K, h): the column of each path in each row; what lies left of it belongs to the left."""

NARROWEST = 0.6
"""Width of two digits that touch, as a fraction of their height, at least."""
SEARCHED = 40
"""Rows at which paths are searched; a higher blob is reduced."""
STEP, REACH = 0.1, 0.14
"""Distance of the searches, and how far each looks to both sides, as fractions of a digit's height."""
SLANT = 0.08
"""Cost of a path's step aside, as a fraction of a pixel of ink."""
CROSSED = 2.6
"""Widths of the stroke that a path may cross."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """Where a blob may be cut into digits, from left to right, and what lies between."""

    crossed: list[float]
    """Ink that each of the K cuts crosses, in widths of the stroke."""
    parts: dict[tuple[int, int], Blob]
    """What may be a digit between two cuts; 0 is the left end of the blob, K + 1 the right end."""


def cuts(blob: Blob, height: float) -> Cuts | None:
    """Return how a blob may be cut into digits of about ``height`` pixels, None if it is surely one."""
    tall = max(0.6 * height, min(blob.height, 1.3 * height))
    if blob.width < NARROWEST * tall or min(blob.mask.shape) < 4:
        return None
    paths, crossed = _paths(blob.mask, tall)
    if not len(paths):
        return None
    parts: dict[tuple[int, int], Blob] = {}
    column = np.arange(blob.width)[None]
    right_of = [
        np.ones_like(blob.mask),
        *(column >= path[:, None] for path in paths),
        np.zeros_like(blob.mask),
    ]
    last = len(paths) + 1
    for start in range(last):
        for stop in range(start + 1, last + 1):
            mask = blob.mask & right_of[start] & ~right_of[stop]
            if (start, stop) == (0, last):
                parts[start, stop] = blob
                continue
            if mask.sum() < 0.01 * tall**2:
                continue
            part = cropped(blob.top, blob.left, mask, blob.level)
            if part.width > 1.35 * tall:
                continue
            if part.height > 0.45 * tall:
                parts[start, stop] = part
    return Cuts(crossed, parts) if len(parts) > 1 else None


def _paths(mask: NDArray[np.bool_], tall: float) -> tuple[Paths, list[float]]:
    """Return paths from left to right, and the ink that each crosses, in widths of the stroke."""
    scale = min(1.0, SEARCHED / mask.shape[0])
    size = (max(2, round(mask.shape[1] * scale)), max(2, round(mask.shape[0] * scale)))
    ink = np.asarray(Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX))
    tall *= scale
    middles = np.arange(0.14 * tall, ink.shape[1] - 0.12 * tall, STEP * tall)
    if not len(middles):
        return np.zeros((0, mask.shape[0]), np.int64), []
    small = _cheapest(ink, middles, REACH * tall)
    rows = np.arange(ink.shape[0])
    stroke = _stroke(ink)
    crossed = [float(ink[rows, path].sum()) / stroke for path in small]
    kept: list[int] = []
    for index in np.argsort(crossed):
        apart = [float(abs(small[index] - small[other]).mean()) for other in kept]
        if crossed[index] <= CROSSED and min(apart, default=np.inf) > 0.07 * tall:
            kept.append(int(index))
    kept.sort(key=lambda index: float(small[index].mean()))
    row = np.minimum((np.arange(mask.shape[0]) * scale).astype(int), ink.shape[0] - 1)
    paths = np.rint((small[kept][:, row] + 0.5) * mask.shape[1] / ink.shape[1]).astype(np.int64)
    return paths, [crossed[index] for index in kept]


def _stroke(ink: NDArray[np.float32]) -> float:
    """Return the width of the stroke: twice the area over the length of the outline."""
    solid = np.pad(ink > 0.5, 1)
    outline = (solid[1:] ^ solid[:-1]).sum() + (solid[:, 1:] ^ solid[:, :-1]).sum()
    return max(1.0, 2.4 * float(solid.sum()) / max(1, int(outline)))


def _cheapest(ink: NDArray[np.float32], middles: NDArray[np.float64], reach: float) -> Paths:
    """Return for each middle the path (K, h) that crosses the least ink (h, w) near it."""
    rows, columns = ink.shape
    aside = abs(np.arange(columns)[None] - middles[:, None]) / max(1.0, reach)
    extra = 0.001 + 0.25 * np.maximum(0, aside - 1) ** 2
    total = np.empty((rows, len(middles), columns), np.float32)
    total[0] = ink[0] + extra
    for row in range(1, rows):
        before = total[row - 1]
        best = before.copy()
        np.minimum(best[:, 1:], before[:, :-1] + SLANT, out=best[:, 1:])
        np.minimum(best[:, :-1], before[:, 1:] + SLANT, out=best[:, :-1])
        total[row] = best + ink[row] + extra
    paths = np.empty((len(middles), rows), np.int64)
    each = np.arange(len(middles))
    at = total[-1].argmin(1)
    paths[:, -1] = at
    for row in range(rows - 2, -1, -1):
        steps = np.stack([at, np.maximum(at - 1, 0), np.minimum(at + 1, columns - 1)])
        price = total[row][each, steps] + np.array([[0], [SLANT], [SLANT]], np.float32)
        at = steps[price.argmin(0), each]
        paths[:, row] = at
    return paths
