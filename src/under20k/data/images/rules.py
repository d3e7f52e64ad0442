"""Take the lines of ruled and squared paper, tables and forms out of a page's ink."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from under20k.data.images.page_ink import Mask


def without_rules(mask: Mask) -> Mask:
    """Return a page's ink (h, w) without long straight lines; strokes that cross them stay whole."""
    horizontal = _lines(mask)
    vertical = _lines(mask.T).T
    lines = horizontal | vertical
    return mask & ~lines if lines.any() else mask


def _lines(mask: Mask) -> Mask:
    """Return the pixels of long, thin, almost horizontal lines that no stroke crosses."""
    high, wide = mask.shape
    run = max(24, wide // 24)
    if wide < 2 * run or high < 16:
        return np.zeros_like(mask)
    # A slanted line is a stair: one pixel more above and below joins its steps.
    thicker = mask.copy()
    thicker[1:] |= mask[:-1]
    thicker[:-1] |= mask[1:]
    long = _opened(thicker, run)
    if not long.any():
        return long
    thickness = _thickness(mask)
    candidates = long & mask
    if not candidates.any():
        return candidates
    typical = float(np.median(thickness[candidates]))
    limit = max(2.0, 1.5 * typical + 1)
    thin = candidates & (thickness <= limit)
    # Pieces of one line, which strokes interrupt, lie in one row or the next.
    joined = _closed(thin, run)
    labels, count = ndimage.label(joined, np.ones((3, 3)))
    if not count:
        return thin
    accepted = np.zeros(count + 1, bool)
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        length = columns.stop - columns.start
        thick = float(np.median(thickness[rows, columns][thin[rows, columns]])) if length > run else 9e9
        accepted[label] = length >= max(0.3 * wide, 20 * thick, 60) and rows.stop - rows.start < 0.12 * length
    return accepted[labels] & thin


def _opened(mask: Mask, run: int) -> Mask:
    """Return the pixels in horizontal runs of at least ``run``."""
    ends = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, stops = np.nonzero(ends.ravel() == 1)[0], np.nonzero(ends.ravel() == -1)[0]
    keep = stops - starts >= run
    marks = np.zeros(ends.size + 1, np.int8)
    marks[starts[keep]], marks[stops[keep]] = 1, -1
    inside = marks[:-1].cumsum(dtype=np.int8).reshape(ends.shape)
    opened: Mask = inside[:, :-1].astype(bool)
    return opened


def _closed(mask: Mask, gap: int) -> Mask:
    """Fill horizontal gaps of less than ``gap`` pixels."""
    open_ = _opened(~mask, gap)
    inside = np.logical_or.accumulate(mask, axis=1) & np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    closed: Mask = inside & ~open_
    return closed


def _thickness(mask: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Return the length of the vertical run of ink at each pixel (h, w), 0 where there is none."""
    padded = np.pad(mask, ((1, 1), (0, 0)))
    ends = np.diff(padded.astype(np.int8), axis=0).T
    starts, stops = np.nonzero(ends.ravel() == 1)[0], np.nonzero(ends.ravel() == -1)[0]
    marks = np.zeros(ends.size + 1, np.int16)
    lengths = (stops - starts).astype(np.int16)
    marks[starts] = lengths
    marks[stops] -= lengths
    inside = marks[:-1].cumsum(dtype=np.int16).reshape(ends.shape)
    return inside[:, :-1].T
