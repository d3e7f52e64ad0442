"""Find the digits of a picture, in reading order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.blobs import (
    Blob,
    blobs_of,
    typical_height,
    without_borders,
    without_faint,
    without_specks,
)
from under20k.data.images.decode import Grey
from under20k.data.images.grouping import joined
from under20k.data.images.ink import ink_of
from under20k.data.images.page_ink import PageInk, page_ink
from under20k.data.images.rules import without_rules
from under20k.data.images.text_lines import lines_of
from under20k.data.images.touching import cuts

Ink = NDArray[np.float32]
"""(H, W) ink, 0 background to 255 full ink."""

SMALL = 48
"""A picture whose sides are no longer, and that is not much wider than high, is one digit."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright picture; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Segment:
    """What may be a digit: its place, and its ink without that of its neighbours."""

    box: Box
    ink: Ink
    """(H, W), of the box; in pictures of more than 2,048 pixels a whole fraction of its size."""
    line: int
    """Line of the page, counted from 0."""
    parts: Parts | None = None
    """How it may be read as several digits that touch; deploy/choose.py decides. None: it is one."""


@dataclass(frozen=True)
class Parts:
    """The digits that a segment may consist of, between cuts 0 (its left end) to K + 1 (its right end)."""

    crossed: list[float]
    """Ink that each of the K cuts crosses, in widths of the stroke."""
    height: float
    """Pixels, of a digit of this line."""
    between: dict[tuple[int, int], Segment]
    """What may be one digit from a cut to another; (0, K + 1) is the whole."""


def segments(grey: Grey) -> list[Segment]:
    """Return what may be digits in a picture (H, W), lines from top to bottom, left to right within."""
    high, wide = grey.shape
    if max(high, wide) <= SMALL and wide <= 1.5 * high:
        return [_whole(grey)]
    ink = page_ink(grey)
    return [
        _segment(grey, ink, blob, number, height)
        for number, (line, height) in enumerate(_lines(ink))
        for blob in line
    ]


def _lines(ink: PageInk) -> list[tuple[list[Blob], float]]:
    """Return the lines of a page and the height of their digits."""
    mask = without_rules(ink.mask, ink.faint)
    blobs = blobs_of(replace(ink, mask=mask))
    blobs = without_faint(without_borders(blobs, mask.shape), ink)
    blobs = joined(without_specks(blobs, ink.factor), typical_height(blobs))
    blobs = [blob for blob in blobs if blob.height * ink.factor >= 8]
    return [(line, typical_height(line)) for line in lines_of(blobs)]


def _whole(grey: Grey) -> Segment:
    """Return the only digit of a picture."""
    return Segment(Box(0, 0, grey.shape[1], grey.shape[0]), ink_of(grey), 0)


def _segment(grey: Grey, page: PageInk, blob: Blob, line: int, height: float) -> Segment:
    """Return a blob of a line whose digits are ``height`` pixels high as it may be read."""
    whole = Segment(*_cut_out(grey, page, blob), line)
    found = cuts(blob, height)
    if found is None:
        return whole
    between = {ends: Segment(*_cut_out(grey, page, part), line) for ends, part in found.parts.items()}
    return replace(whole, parts=Parts(found.crossed, height * page.factor, between))


def _cut_out(grey: Grey, page: PageInk, blob: Blob) -> tuple[Box, Ink]:
    """Return the box and the ink of a blob at the picture's own size."""
    rows = slice(max(0, blob.top - 1), min(page.mask.shape[0], blob.bottom + 1))
    columns = slice(max(0, blob.left - 1), min(page.mask.shape[1], blob.right + 1))
    own = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    top, left = blob.top - rows.start, blob.left - columns.start
    own[top : top + blob.height, left : left + blob.width] = blob.mask
    # Ink fades out over a pixel at the edge of a stroke.
    wide = own.copy()
    wide[1:] |= own[:-1]
    wide[:-1] |= own[1:]
    wide[:, 1:] |= wide[:, :-1]
    wide[:, :-1] |= wide[:, 1:]
    darkness = page.darkness[rows, columns]
    ink = np.where(wide, np.clip(darkness / max(blob.level, 1e-3), 0, 1), 0) * 255
    box = Box(*(side * page.factor for side in (columns.start, rows.start, columns.stop, rows.stop)))
    box = Box(box.left, box.top, min(box.right, grey.shape[1]), min(box.bottom, grey.shape[0]))
    return box, ink.astype(np.float32)
