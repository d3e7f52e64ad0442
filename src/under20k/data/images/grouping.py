"""Join the parts of a digit whose stroke fell apart."""

from __future__ import annotations

import numpy as np

from under20k.data.images.blobs import Blob, merged

PART = 0.72
"""What is lower than this fraction of a digit's height may be a part of one."""
GAP = 0.22
"""Fraction of a digit's height up to which a gap in a stroke is bridged."""

NEXT, WIDEST, HIGHEST = 0.14, 1.1, 1.3
"""Fractions of a digit's height: the gap that may be one in a stroke of a digit, and the digit's sides."""


def may_be_one(one: Blob, other: Blob, height: float) -> bool:
    """Tell whether two neighbours of a line may be the halves of a digit; only their shape tells more."""
    if one.right + NEXT * height < other.left:
        return False
    high = max(one.bottom, other.bottom) - min(one.top, other.top)
    wide = max(one.right, other.right) - min(one.left, other.left)
    return wide < WIDEST * height and high < HIGHEST * height and _gap(one, other) < NEXT * height


def joined(blobs: list[Blob], height: float) -> list[Blob]:
    """Return blobs in which parts of one digit, of about ``height`` pixels, are one."""
    whole = list(blobs)
    while pairs := _pairs(whole, height):
        used: set[int] = set()
        unions = []
        for _, first, second in sorted(pairs):
            if first not in used and second not in used:
                used |= {first, second}
                unions.append(merged([whole[first], whole[second]]))
        whole = [blob for index, blob in enumerate(whole) if index not in used] + unions
    return whole


def _pairs(blobs: list[Blob], height: float) -> list[tuple[float, int, int]]:
    """Return the pairs of blobs that may be one digit, each after its cost."""
    order = sorted(range(len(blobs)), key=lambda index: blobs[index].left)
    pairs = []
    for position, first in enumerate(order):
        reach = blobs[first].right + GAP * height
        for second in order[position + 1 :]:
            if blobs[second].left > reach:
                break
            cost = _cost(blobs[first], blobs[second], height)
            if cost < 1:
                pairs.append((cost, first, second))
    return pairs


def _cost(one: Blob, other: Blob, height: float) -> float:
    """Return how unlikely it is that two blobs are one digit; 1 and more is a no."""
    top, bottom = min(one.top, other.top), max(one.bottom, other.bottom)
    if bottom - top > 1.35 * height:
        return 1.0
    left, right = min(one.left, other.left), max(one.right, other.right)
    if right - left > 1.25 * height:
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
