"""Take the lines of ruled and squared paper, of tables and folds out of a page's ink."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from under20k.data.images.page_ink import Mask

STEEPEST, STEP = 0.08, 0.0025
"""Slope of a line at most, and the distance of the slopes that are tried."""
SHORTEST = 0.3
"""Fraction of the page that a line crosses at least."""
THIN = 20
"""A line is so many times longer than thick, at least."""
COVERED = 0.8
"""Fraction of the pixels along a line that are ink, at least."""
UNBROKEN, EVEN, CROSSED = 0.92, 0.45, 0.15
"""Fraction of a line that is ink, and that is as thick as the thinner parts of it, at least.

The last is for a line beside others as thick: on squared paper, digits may hide most of one.
"""
PARALLEL = 3
"""Lines that are others."""
THICKEST = 12
"""Pixels."""
LINES = 250
"""Lines of one direction at most."""


@dataclass(frozen=True)
class Line:
    """An almost horizontal line."""

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    """The middle of the line in each of the columns."""
    thickness: int


def without_rules(mask: Mask, faint: Mask, shortest: float = SHORTEST) -> Mask:
    """Return a page's ink (h, w) without long straight lines; strokes that cross them stay whole.

    Args:
        mask: the ink.
        faint: (h, w), fainter ink, too: lines are whole there.
        shortest: fraction of the page that a line crosses at least.
    """
    rest = mask.copy()
    for ours, theirs, result in ((mask, faint, rest), (mask.T, faint.T, rest.T)):
        length: NDArray[np.int16] | None = None
        for line in _lines(theirs, shortest):
            length = run_lengths(ours) if length is None else length
            own = length[line.rows, line.columns]
            limit = min(line.thickness, int(np.percentile(own[own > 0], 40)) if own.any() else 0) + 1
            reach = line.thickness // 2 + 1
            for offset in range(-reach, reach + 1):
                rows = line.rows + offset
                inside = (rows >= 0) & (rows < ours.shape[0])
                at = rows[inside], line.columns[inside]
                result[at] &= length[at] > limit
    return rest


def _lines(mask: Mask, shortest: float) -> Iterator[Line]:
    """Yield the long, thin, almost horizontal lines of a mask."""
    high, wide = mask.shape
    strip = int(np.clip(wide // 40, 8, 48))
    strips = wide // strip
    if strips < 5 or high < 24:
        return
    # One pixel more above and below holds the steps of a slanted line together.
    thicker = mask.copy()
    thicker[1:] |= mask[:-1]
    thicker[:-1] |= mask[1:]
    covered = thicker[:, : strips * strip].reshape(high, strips, strip).mean(2, dtype=np.float32)
    cells = covered >= COVERED
    if not cells.any(1).sum():
        return
    near = ndimage.maximum_filter1d(cells, 3, axis=0)
    slopes = np.arange(-STEEPEST, STEEPEST + STEP / 2, STEP)
    middle = (strips - 1) / 2
    scores = np.zeros((len(slopes), high), np.int16)
    for scored, slope in zip(scores, slopes, strict=True):
        for index in range(strips):
            shift = round(slope * strip * (index - middle))
            if shift >= 0:
                scored[: high - shift] += near[shift:, index]
            else:
                scored[-shift:] += near[:shift, index]
    found, hidden = [], []
    for _ in range(LINES):
        number, row = divmod(int(scores.argmax()), high)
        if scores[number, row] < max(shortest * strips, 5):
            break
        scores[:, max(0, row - 4) : row + 5] = 0
        rows = np.rint(row + slopes[number] * strip * (np.arange(strips) - middle)).astype(int)
        here = list(_line(mask, covered, rows, strip, shortest, EVEN))
        found += here
        if not here:
            hidden.append(rows)
        yield from here
    if len(found) >= PARALLEL:
        usual = float(np.median([line.thickness for line in found]))
        for rows in hidden:
            for line in _line(mask, covered, rows, strip, shortest, CROSSED):
                if line.thickness <= usual + 1:
                    yield line


def _line(
    mask: Mask,
    covered: NDArray[np.float32],
    rows: NDArray[np.int64],
    strip: int,
    shortest: float,
    even: float,
) -> Iterator[Line]:
    """Yield the pieces of a line, given about where it runs in each strip, that are long and thin enough.

    Each is cleared from ``covered``, so that no other slope finds it again.
    """
    high, strips = covered.shape
    offsets = np.arange(-3, 4)
    window = np.clip(rows[:, None] + offsets, 0, high - 1)
    values = covered[window, np.arange(strips)[:, None]] - 0.02 * abs(offsets)
    # The middle of the plateau.
    top = values >= values.max(1, keepdims=True) - 0.1
    rows = rows + np.rint((top * offsets).sum(1) / top.sum(1)).astype(int)
    rows = np.clip(rows, 0, high - 1)
    on = values.max(1) >= COVERED - 0.05
    filled = ndimage.binary_closing(np.pad(on, 2), np.ones(3))[2:-2] | on
    labels, count = ndimage.label(filled)
    for (stretch,) in ndimage.find_objects(labels, count):
        length = stretch.stop - stretch.start
        if length < max(shortest * strips, 5):
            continue
        columns = np.arange(stretch.start * strip, min(mask.shape[1], stretch.stop * strip))
        centres = (np.arange(strips) + 0.5) * strip
        at = np.rint(np.interp(columns, centres[filled], rows[filled])).astype(int)
        thickness = _thickness_at(mask, at, columns, even)
        if 0 < thickness * THIN < length * strip:
            if stretch.start <= 1:
                columns, at = _extended(columns, at, 0)
            if stretch.stop >= strips - 1:
                columns, at = _extended(columns, at, mask.shape[1])
            yield Line(columns, at, thickness)
            for offset in range(-2, 3):
                taken = np.clip(rows[stretch] + offset, 0, high - 1)
                covered[taken, np.arange(stretch.start, stretch.stop)] = 0


def _extended(
    columns: NDArray[np.int64], rows: NDArray[np.int64], end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a line that goes on to the edge of the page."""
    if end == 0:
        more = np.arange(0, columns[0])
        return np.concatenate([more, columns]), np.concatenate([np.full(len(more), rows[0]), rows])
    more = np.arange(columns[-1] + 1, end)
    return np.concatenate([columns, more]), np.concatenate([rows, np.full(len(more), rows[-1])])


def _thickness_at(mask: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64], even: float) -> int:
    """Return the thickness of a line given by its pixels, 0 if there is none.

    A line has no gaps and, but for what crosses it, one thickness; a row of digits has neither. The fraction
    ``even`` of it has that thickness at least.
    """
    reach = np.arange(-THICKEST, THICKEST + 1)
    window = np.clip(rows[:, None] + reach, 0, mask.shape[0] - 1)
    ink = mask[window, columns[:, None]]
    middle = ink[:, THICKEST - 1 : THICKEST + 2]
    inked = middle.any(1)
    if inked.mean() < UNBROKEN:
        return 0
    # Measure from the inked pixel that is nearest to the middle.
    at = THICKEST + np.where(middle[:, 1], 0, np.where(middle[:, 0], -1, 1))
    position = np.arange(2 * THICKEST + 1)[None]
    up = np.where(~ink & (position < at[:, None]), position, -1).max(1)
    down = np.where(~ink & (position > at[:, None]), position, 2 * THICKEST + 1).min(1)
    lengths = (down - up - 1)[inked]
    thickness = int(np.percentile(lengths, 25))
    return thickness if (lengths <= thickness + 1 + thickness // 4).mean() > even else 0


def run_lengths(mask: Mask) -> NDArray[np.int16]:
    """Return the length of the vertical run of ink at each pixel (h, w), 0 where there is none."""
    ends = np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    ends = ends.ravel()
    starts, stops = np.flatnonzero(ends == 1), np.flatnonzero(ends == -1)
    marks = np.zeros(ends.size, np.int16)
    lengths = (stops - starts).astype(np.int16)
    marks[starts] = lengths
    marks[stops] -= lengths
    inside = marks.cumsum(dtype=np.int16).reshape(mask.shape[1], mask.shape[0] + 1)
    return inside[:, :-1].T
