"""Take the boxes and combs of forms out of a page's ink, and leave the digits in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from under20k.data.images.page_ink import Mask
from under20k.data.images.rules import run_lengths

Walls = list[tuple[int, int]]
"""First and last row of each straight line, after its slope was taken away."""

SMALLEST = 14
"""Pixels of a box from side to side, at least."""
COVERED = 0.86
"""Fraction of a wall that is ink, at least; a digit may cross it or stand on it."""
INKED = 0.4
"""Fraction of each of its rows that is, at least."""
STEEPEST = 0.07
"""Slope of a wall at most."""
THINNEST = 7
"""A box is so many times wider and higher than its walls are thick, at least; a comb so many times wider."""
SLENDER = 0.6
"""Width of a box, as a fraction of its height, at least: a digit may be drawn with straight lines."""
COMB = 1.5
"""A comb is so many times wider than high, at least."""


def without_frames(mask: Mask) -> Mask:
    """Return a page's ink (h, w) without the walls of boxes, alone or in rows, and without combs."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    rest = mask
    for label, place in enumerate(ndimage.find_objects(labels, count), 1):
        high, wide = (side.stop - side.start for side in place)
        if min(high, wide) < SMALLEST or wide < SLENDER * high:
            continue
        # Squared paper and large tables: rules.py knows more of them.
        if high > 0.9 * mask.shape[0] and wide > 0.9 * mask.shape[1]:
            continue
        own = labels[place] == label
        # Walls are thin: cheaper to tell from their area than from their lines.
        if own.mean() > 0.6:
            continue
        walls = _walls_of(own)
        if walls is not None:
            rest = mask.copy() if rest is mask else rest
            rest[place] &= ~walls
    return rest


def _walls_of(own: Mask) -> Mask | None:
    """Return the walls of connected ink (h, w), None if it is no frame."""
    high, wide = own.shape
    level, levels = _straight(own)
    if not levels:
        return None
    thick = _thickness(levels)
    walls = level & (run_lengths(own) <= thick + 2)
    # Digits may reach over the walls; the others stand between the outermost two.
    top, bottom = max(0, levels[0][0]), min(high, levels[-1][1] + 1)
    if bottom - top > 0.5 * high and _are_thin(levels, high):
        turned, uprights = _straight(own[top:bottom].T)
        if uprights and _are_thin(uprights, wide) and uprights[-1][1] - uprights[0][0] > 0.7 * wide:
            runs = run_lengths(own.T).T[top:bottom]
            walls[top:bottom] |= turned.T & ((runs <= _thickness(uprights) + 2) | level[top:bottom])
            return walls
    if wide < COMB * high or not _are_thin(levels, wide):
        return None
    teeth = _teeth(own & ~walls, thick)
    return None if teeth is None else walls | teeth


def _straight(own: Mask) -> tuple[Mask, Walls]:
    """Return the pixels (h, w) of the almost horizontal lines that cross all of connected ink, and where."""
    high, wide = own.shape
    columns = np.arange(wide)
    lowest = high - 1 - own[::-1].argmax(0)
    half = wide // 2
    slope = float(np.median(lowest[half:] - lowest[: wide - half])) / half
    if abs(slope) > STEEPEST:
        return np.zeros_like(own), []
    shift = np.rint(slope * (columns - wide / 2)).astype(int)
    # A line that turns out a little out of place must not leave the picture.
    rim = int(abs(shift).max(initial=0)) + 1
    padded = np.pad(own, ((rim, rim), (0, 0)))
    rows = np.arange(-rim, high + rim)[:, None] + shift + rim
    flat = padded[np.clip(rows, 0, len(padded) - 1), columns]
    near = flat.copy()
    near[1:] |= flat[:-1]
    near[:-1] |= flat[1:]
    full = (near.mean(1) >= COVERED) & (flat.mean(1) >= INKED)
    marks, count = ndimage.label(full)
    thick = np.bincount(marks, minlength=1)[1:]
    # What is thicker than the thinnest wall is the bar of a 7 or the foot of a 2.
    full &= ~np.isin(marks, 1 + np.flatnonzero(thick > 2 * thick.min(initial=len(full)) + 2))
    places = ndimage.find_objects(np.where(full, marks, 0), count)
    walls = [(place[0].start - rim, place[0].stop - 1 - rim) for place in places if place]
    wider = ndimage.binary_dilation(full, iterations=2)
    at = np.arange(rim, high + rim)[:, None] - shift
    pixels: Mask = own & wider[np.clip(at, 0, len(padded) - 1)]
    return pixels, walls


def _thickness(walls: Walls) -> int:
    return max(last - first + 1 for first, last in walls)


def _are_thin(walls: Walls, side: int) -> bool:
    return _thickness(walls) * THINNEST <= side


def _teeth(rest: Mask, thick: int) -> NDArray[np.bool_] | None:
    """Return the teeth of a comb, upright and about as thick as its back; None if it has none."""
    labels, count = ndimage.label(rest, np.ones((3, 3)))
    teeth = [
        (label, place)
        for label, place in enumerate(ndimage.find_objects(labels, count), 1)
        if place[1].stop - place[1].start <= 1.7 * thick + 1
    ]
    # At both ends, but for a digit that touches one of them.
    ends = any(place[1].start <= 2 * thick for _, place in teeth) + any(
        place[1].stop >= rest.shape[1] - 2 * thick for _, place in teeth
    )
    if ends + len(teeth) < 4:
        return None
    heights = [place[0].stop - place[0].start for _, place in teeth]
    typical = float(np.median(heights))
    if typical < 2 * thick:
        return None
    highest = 1.2 * typical + 1
    return np.isin(labels, [label for (label, _), high in zip(teeth, heights, strict=True) if high < highest])
