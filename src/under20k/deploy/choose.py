"""Choose how ink is read: as one digit, or as several that touch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.segment import APART, Parts, Segment

Ends = tuple[int, int]
"""The cuts between which a part lies."""

CUT, CROSSED = 0.45, 0.5
"""What a cut costs, and what each width of the stroke costs that it crosses beyond one.

Costs are differences of the logarithm of a probability.
"""
GAP = -0.3
"""What it costs to read what is apart as two digits."""
WIDEST, WIDE = 0.7, 2.5
"""Width of a digit, as a fraction of its height, above which width costs, and how much."""
LOWEST, LOW = 0.75, 8.0
"""Height of a digit, as a fraction of its line's, below which it costs to be low, and how much."""


def candidates(found: Sequence[Segment]) -> list[Segment]:
    """Return all that a classifier has to judge: segments, and in place of those with parts these parts."""
    return [
        each
        for segment in found
        for each in (segment.parts.between.values() if segment.parts else (segment,))
    ]


def chosen(found: Sequence[Segment], probabilities: NDArray[np.float64]) -> list[int]:
    """Return which of the ``candidates`` are the digits, as indices in reading order.

    ``probabilities`` (N, 10) are those of the candidates' digits.
    """
    belief = np.log(np.maximum(probabilities.max(1, initial=0), 1e-12))
    indices, start = [], 0
    for segment in found:
        if segment.parts is None:
            indices.append(start)
            start += 1
            continue
        number = {ends: start + step for step, ends in enumerate(segment.parts.between)}
        way = best(segment.parts, {ends: float(belief[index]) for ends, index in number.items()})
        indices += [number[ends] for ends in way]
        start += len(number)
    return indices


def best(parts: Parts, belief: dict[Ends, float]) -> list[Ends]:
    """Return the parts, from left to right, that together are the most likely reading.

    ``belief`` is the logarithm of the probability of each part's digit.
    """
    last = len(parts.crossed) + 1
    ways: dict[int, tuple[float, list[Ends]]] = {0: (0.0, [])}
    for stop in range(1, last + 1):
        price = _price(parts.crossed[stop - 1]) if stop < last else 0.0
        options = []
        for start in range(stop):
            if start in ways and (start, stop) in belief:
                score, way = ways[start]
                score += belief[start, stop] - _odd(parts, (start, stop)) - price
                options.append((score, [*way, (start, stop)]))
        if options:
            ways[stop] = max(options)
    return ways[last][1]


def _price(crossed: float) -> float:
    """Return what a cut costs that crosses so many widths of the stroke."""
    return GAP if crossed == APART else CUT + CROSSED * max(0.0, crossed - 1)


def _odd(parts: Parts, ends: Ends) -> float:
    """Return what the shape of a part costs among the digits of its line."""
    box, whole = parts.between[ends].box, parts.between[0, len(parts.crossed) + 1].box
    high, tall = box.bottom - box.top, whole.bottom - whole.top
    ratio = (box.right - box.left) / max(high, 0.8 * parts.height)
    # A line may have smaller digits, too.
    low = high / (parts.height if tall >= LOWEST * parts.height else tall)
    return WIDE * max(0.0, ratio - WIDEST) + LOW * max(0.0, LOWEST - low)
