"""Tell whether a picture holds one digit, whatever its strokes look like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

from under20k.data.images.blobs import Blob, merged
from under20k.data.images.digit_image import stroke_width
from under20k.data.images.ink import Ink

SMALL = 48
"""A picture whose sides are no longer, and that is not much wider than high, is one digit."""
MEDIUM = 512
"""Up to this side, a picture is one digit if its ink may be."""
WIDE = 1.5
"""A picture that is so many times wider than high, or more, is a line."""
WIDEST = 1.2
"""A digit in one piece is at most so many times wider than high."""
TALL = 0.7
"""Pieces of this fraction of the height side by side are two digits."""
PIECE = 0.6
"""What is lower, as a fraction of a line's share of the height of all ink, may be a piece of one digit."""
FAINT, ALONE = 64, 0.95
"""Ink of a thin stroke, at least, and the fraction of all ink that one digit has, at least."""
UNBROKEN = 0.6
"""Fraction of the ink of a picture that is connected, at least, where no page was found."""
STEEP, ROUGH = 40, 0.3
"""Ink by which neighbours differ at the edge of a stroke, at least; and the fraction that do, at most.

A shadow has no such edges, noise has them everywhere.
"""
EDGE = 0.05
"""Or the edge of a stroke is no wider than this fraction of the picture, in one that was enlarged."""


def is_small(shape: tuple[int, ...]) -> bool:
    """Tell whether a picture is one digit by its size (H, W) alone."""
    return max(shape) <= SMALL and shape[1] <= WIDE * shape[0]


def is_medium(shape: tuple[int, ...]) -> bool:
    """Tell whether a picture (H, W) is likely to be one digit."""
    return max(shape) <= MEDIUM and shape[1] <= WIDE * shape[0]


def are_one(blobs: list[Blob]) -> bool:
    """Tell whether all the blobs of a picture may be one digit, fallen apart."""
    if not 1 <= len(blobs) <= 8:
        return False
    union = merged(blobs)
    inked = np.flatnonzero(union.mask.any(1))
    gap = int(np.diff(inked).max(initial=1))
    columns = [(blob.left, blob.right) for blob in blobs if blob.height > TALL * union.height]
    return gap < 0.25 * union.height and _has_width(len(blobs), columns, union.width / union.height)


def is_table(lines: Sequence[Sequence[Blob]]) -> bool:
    """Tell whether lines are several digits each, none of them a mere piece of the whole."""
    blobs = [blob for line in lines for blob in line]
    lowest = PIECE / len(lines) * merged(blobs).height
    return all(blob.height > lowest for blob in blobs) and sum(len(line) > 1 for line in lines) > 1


def is_one(ink: Ink) -> bool:
    """Tell whether the ink (H, W) of a picture is one digit, with gaps no wider than its stroke."""
    faint = ink > FAINT
    if not 0.003 < faint.mean() < 0.85 or not _is_inside(faint):
        return False
    reach = max(1.0, stroke_width(ink.astype(np.float64)) / 2)
    joined, _ = ndimage.label(ndimage.distance_transform_edt(~faint) <= reach)
    masses = np.bincount(joined.ravel(), np.where(faint, ink, 0).ravel())
    largest = int(masses.argmax())
    pieces, _ = ndimage.label(faint & (joined == largest), np.ones((3, 3)))
    boxes = ndimage.find_objects(pieces)
    rows, columns = ndimage.find_objects(joined)[largest - 1]
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    tall = [(across.start, across.stop) for down, across in boxes if down.stop - down.start > TALL * high]
    return bool(
        masses[largest] >= ALONE * masses.sum()
        and max(high, wide) >= 0.35 * max(ink.shape)
        and _has_width(len(boxes), tall, wide / high)
    )


def _has_width(pieces: int, tall: list[tuple[int, int]], ratio: float) -> bool:
    """Tell whether pieces are as wide for their height as one digit, and not two side by side.

    ``tall`` has the left and right ends of the pieces that are almost as high as all together.
    """
    if any(left >= right for (_, right), (left, _) in pairwise(sorted(tall))):
        return False
    # The bar of a 5 may be far to the right of the rest; digits that touch are in one piece.
    return ratio <= (WIDEST if pieces == 1 else WIDE)


def is_solid(ink: Ink) -> bool:
    """Tell whether the ink (H, W) of a picture is that of one large digit, not noise or a shadow."""
    if min(ink.shape) < 4:
        return False
    full = ink > 127
    if not 0.002 < full.mean() < 0.85 or not _is_inside(full):
        return False
    labels, _ = ndimage.label(full, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    largest = ndimage.find_objects(labels)[int(areas.argmax())]
    extent = max(side.stop - side.start for side in largest)
    step = min(STEEP, 255 / (EDGE * max(ink.shape)))
    steep = max(float((abs(np.diff(ink, axis=axis)) >= step).mean()) for axis in (0, 1))
    free = not (full[0].any() or full[-1].any() or full[:, 0].any() or full[:, -1].any())
    lowest = 0.0 if free else 0.001
    unbroken = areas.max() >= UNBROKEN * areas.sum()
    return bool(unbroken and extent >= 0.35 * max(ink.shape) and lowest <= steep < ROUGH)


def _is_inside(full: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> bool:
    """Tell whether ink touches the edges of its picture as a digit may: no grid, no shadow, no frame."""
    around = np.concatenate([full[0], full[1:, -1], full[-1, -2::-1], full[-2:0:-1, 0]])
    high, wide = full.shape
    inner = full[high // 5 : high - high // 5, wide // 5 : wide - wide // 5].sum() / full.sum()
    contacts = int((around & ~np.roll(around, 1)).sum())
    return contacts <= 8 and bool(around.mean() <= 0.2 or (around.mean() <= 0.4 and inner >= 0.3))
