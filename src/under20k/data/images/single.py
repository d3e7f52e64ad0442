"""Tell whether a picture holds one digit, whatever its strokes look like."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from under20k.data.images.blobs import Blob, merged
from under20k.data.images.ink import Ink

SMALL = 48
"""A picture whose sides are no longer, and that is not much wider than high, is one digit."""
MEDIUM = 512
"""Up to this side, a picture is one digit if its ink may be."""
WIDE = 1.5
"""A picture that is so many times wider than high, or more, is a line."""
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
    if union.width > 1.2 * union.height:
        return False
    tall = sorted((blob for blob in blobs if blob.height > 0.7 * union.height), key=lambda blob: blob.left)
    if any(right.left >= left.right for left, right in pairwise(tall)):
        return False
    inked = np.flatnonzero(union.mask.any(1))
    return bool(np.diff(inked).max(initial=1) < 0.25 * union.height)


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
