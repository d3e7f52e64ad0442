"""Find the digits of a picture, in reading order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from under20k.data.images.blobs import (
    SOFT,
    Blob,
    blobs_of,
    ends_at_edge,
    merged,
    softness,
    typical_height,
    without_borders,
    without_discs,
    without_faint,
    without_specks,
)
from under20k.data.images.decode import Grey
from under20k.data.images.frames import without_frames
from under20k.data.images.grouping import joined, may_be_one
from under20k.data.images.ink import Ink, ink_of
from under20k.data.images.page_ink import PageInk, page_ink
from under20k.data.images.rules import SHORTEST, without_rules
from under20k.data.images.single import are_one, is_medium, is_one, is_small, is_solid, is_table
from under20k.data.images.text_lines import lines_of
from under20k.data.images.touching import cuts

APART = -1.0
"""Of a cut that crosses no ink at all."""
LOWEST = 8
"""Pixels of the picture that a digit of a page is high, at least."""

MOST_PARTS = 10_000
"""A page that may be cut into more parts is noise, and to classify them would take minutes."""


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
    """Ink that each of the K cuts crosses, in widths of the stroke; ``APART`` where a gap is."""
    height: float
    """Pixels, of a digit of this line."""
    between: dict[tuple[int, int], Segment]
    """What may be one digit from a cut to another; (0, K + 1) is the whole."""


def segments(grey: Grey) -> list[Segment]:
    """Return what may be digits in a picture (H, W), lines from top to bottom, left to right within."""
    if is_small(grey.shape):
        return _whole(ink_of(grey))
    single = ink_of(grey) if is_medium(grey.shape) else None
    if single is not None and is_one(single):
        return _whole(single)
    ink = page_ink(grey)
    lines = _lines(ink)
    if not lines and single is not None and is_solid(single):
        return _whole(single)
    if not lines:
        ink = page_ink(grey, closed=min(ink.mask.shape) // 2)
        lines = _large(_lines(ink), ink)
    blobs = [blob for line, _ in lines for blob in line]
    if single is not None and are_one(blobs) and not is_table([line for line, _ in lines]):
        union = merged(blobs)
        alone = union.area > 0.9 * ink.mask.sum()
        return (_whole(single) if alone else []) or [Segment(*_cut_out(grey, ink, union), 0)]
    if len(blobs) == 1 and blobs[0].width < 1.2 * blobs[0].height:
        return [Segment(*_cut_out(grey, ink, blobs[0]), 0)]
    return _of_lines(grey, ink, lines)


def _of_lines(grey: Grey, page: PageInk, lines: list[tuple[list[Blob], float]]) -> list[Segment]:
    """Return the blobs of lines as they may be read; without cuts after the first ``MOST_PARTS`` parts."""
    found: list[Segment] = []
    parts = 0
    for number, (line, height) in enumerate(lines):
        if parts > MOST_PARTS:
            found += [Segment(*_cut_out(grey, page, blob), number) for blob in line]
            continue
        own = list(_of_line(grey, page, line, number, height))
        parts += sum(len(segment.parts.between) for segment in own if segment.parts)
        found += own
    return found


def _lines(ink: PageInk) -> list[tuple[list[Blob], float]]:
    """Return the lines of a page and the height of their digits."""
    # In a picture that may be one digit, a line of half its length may be a stroke.
    shortest = 0.85 if is_medium(ink.mask.shape) else SHORTEST
    mask = without_rules(without_frames(ink.mask), ink.faint, shortest)
    blobs = blobs_of(replace(ink, mask=mask))
    blobs = without_faint(without_borders(without_discs(blobs), mask.shape), ink)
    blobs = joined(without_specks(blobs, ink.factor), typical_height(blobs))
    blobs = [blob for blob in blobs if blob.height * ink.factor >= LOWEST]
    return [(line, typical_height(line)) for line in lines_of(blobs)]


def _large(lines: list[tuple[list[Blob], float]], ink: PageInk) -> list[tuple[list[Blob], float]]:
    """Return lines if they are a few large digits with sharp edges: not shadows, not noise."""
    blobs = [blob for line, _ in lines for blob in line]
    large = all(blob.height > 0.15 * min(ink.mask.shape) for blob in blobs)
    inside = not any(ends_at_edge(blob, ink.mask.shape) for blob in blobs)
    return lines if 1 <= len(blobs) <= 12 and large and inside and softness(blobs, ink) < SOFT else []


def _whole(ink: Ink) -> list[Segment]:
    """Return the only digit of a picture, of the picture's ink; nothing if it is blank."""
    rows, columns = (np.flatnonzero((ink > 0).any(axis)) for axis in (1, 0))
    if not len(rows):
        return []
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return [Segment(box, ink[box.top : box.bottom, box.left : box.right], 0)]


def _of_line(grey: Grey, page: PageInk, blobs: list[Blob], line: int, height: float) -> Iterator[Segment]:
    """Yield the segments of a line whose digits are ``height`` pixels high."""
    waiting: tuple[Blob, Segment] | None = None
    for blob in blobs:
        segment = _segment(grey, page, blob, line, height)
        if waiting and segment.parts is None and may_be_one(waiting[0], blob, height):
            box, ink = _cut_out(grey, page, merged([waiting[0], blob]))
            whole = Segment(box, ink, line)
            between = {(0, 1): waiting[1], (1, 2): segment, (0, 2): whole}
            yield replace(whole, parts=Parts([APART], height * page.factor, between))
            waiting = None
            continue
        if waiting:
            yield waiting[1]
            waiting = None
        if segment.parts is None:
            waiting = blob, segment
        else:
            yield segment
    if waiting:
        yield waiting[1]


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
