"""Score what was found on a page against what was written on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.reading.pages import Page
from under20k.data.images.segment import Box

OVERLAP = 0.5
"""Intersection over union of two boxes from which on they are the same digit."""


@dataclass(frozen=True)
class PageScore:
    """Counts; add them up over pages."""

    written: int = 0
    found: int = 0
    """Digits whose box was found, one to one."""
    read: int = 0
    """Of the found: read as what was written."""
    invented: int = 0
    """Boxes in which no digit was written."""
    in_order: int = 0
    """Pages on which the found digits are in reading order."""
    pages: int = 0

    def __add__(self, other: PageScore) -> PageScore:
        return PageScore(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def score(page: Page, boxes: Sequence[Box], values: Sequence[int | None]) -> PageScore:
    """Score the boxes and values that were found on a page, in the order in which they were found."""
    if not page.digits or not boxes:
        return PageScore(len(page.digits), 0, 0, len(boxes), 1, 1)
    overlap = overlaps([each.box for each in page.digits], boxes)
    rows, columns = linear_sum_assignment(-overlap)
    same = overlap[rows, columns] >= OVERLAP
    rows, columns = rows[same], columns[same]
    read = sum(page.digits[row].value == values[column] for row, column in zip(rows, columns, strict=True))
    ordered = bool((np.diff(columns) > 0).all())
    invented = len(boxes) - len(columns)
    return PageScore(len(page.digits), len(rows), int(read), invented, int(ordered), 1)


def overlaps(some: Sequence[Box], others: Sequence[Box]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return intersection over union of each pair, (len(some), len(others))."""
    first, second = np.array(some, float)[:, None], np.array(others, float)[None]
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = [(each[..., 2:] - each[..., :2]).prod(-1) for each in (first, second)]
    union = area[0] + area[1] - shared
    result: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = shared / np.maximum(union, 1)
    return result
