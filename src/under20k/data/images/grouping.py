"""Join the parts of a digit whose stroke fell apart."""

from __future__ import annotations

import numpy as np

from under20k.data.images.blobs import Blob, merged

PART = 0.72
"""What is lower than this fraction of a digit's height may be a part of one."""
GAP = 0.22
"""Fraction of a digit's height up to which a gap in a stroke is bridged."""


def joined(blobs: list[Blob], height: float) -> list[Blob]:
    """Return blobs in which parts of one digit, of about ``height`` pixels, are one."""
    whole = list(blobs)
    while True:
        best = _closest(whole, height)
        if best is None:
            return whole
        first, second = best
        union = merged([whole[first], whole[second]])
        whole = [blob for index, blob in enumerate(whole) if index not in best] + [union]


def _closest(blobs: list[Blob], height: float) -> tuple[int, int] | None:
    """Return the pair of blobs that most likely is one digit, if any is."""
    order = sorted(range(len(blobs)), key=lambda index: blobs[index].left)
    best, lowest = None, 1.0
    for position, first in enumerate(order):
        for second in order[position + 1 :]:
            if blobs[second].left > blobs[first].right + GAP * height:
                break
            cost = _cost(blobs[first], blobs[second], height)
            if cost < lowest:
                best, lowest = (first, second), cost
    return best


def _cost(one: Blob, other: Blob, height: float) -> float:
    """Return how unlikely it is that two blobs are one digit; 1 and more is a no."""
    top, bottom = min(one.top, other.top), max(one.bottom, other.bottom)
    left, right = min(one.left, other.left), max(one.right, other.right)
    if bottom - top > 1.35 * height or right - left > 1.25 * height:
        return 1.0
    small, large = sorted((one, other), key=lambda blob: blob.size)
    if small.height > PART * height and small.height > PART * large.height:
        return 1.0
    aside = max(one.left, other.left) - min(one.right, other.right)
    apart = max(one.top, other.top) - min(one.bottom, other.bottom)
    overlap = -aside / max(1, min(one.width, other.width))
    if apart > 0 and aside > 0 and apart + aside > GAP * height:
        return 1.0
    gap = _gap(one, other)
    if overlap > 0.5 and apart < 0.4 * height:
        return gap / (0.45 * height)  # One above the other.
    return gap / (GAP * height)


def _gap(one: Blob, other: Blob) -> float:
    """Return the distance in pixels between the nearest ink of two blobs."""
    points = [np.argwhere(_outline(blob)) + np.array([blob.top, blob.left]) for blob in (one, other)]
    first, second = (each[:: max(1, len(each) // 200)] for each in points)
    difference = first[:, None] - second[None]
    return float(np.sqrt((difference.astype(float) ** 2).sum(2).min()))


def _outline(blob: Blob) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    mask = np.pad(blob.mask, 1)
    inside = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return blob.mask & ~inside
