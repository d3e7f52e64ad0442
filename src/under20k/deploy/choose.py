"""Choose how ink is read: as one digit, or as several that touch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.segment import Parts, Segment

Ends = tuple[int, int]
"""The cuts between which a part lies."""

CUT, CROSSED = 0.3, 0.2
"""What a cut costs, and what each width of the stroke costs that it crosses beyond one."""
WIDEST, WIDE = 0.9, 2.0
"""Width of a digit, as a fraction of its height, above which width costs, and how much."""
NARROWEST, NARROW = 0.3, 0.7
"""The same for a narrow one. Costs are differences of the logarithm of a probability."""


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
        price = CUT + CROSSED * max(0.0, parts.crossed[stop - 1] - 1) if stop < last else 0.0
        options = []
        for start in range(stop):
            if start in ways and (start, stop) in belief:
                score, way = ways[start]
                score += belief[start, stop] - _odd(parts.between[start, stop], parts.height) - price
                options.append((score, [*way, (start, stop)]))
        if options:
            ways[stop] = max(options)
    return ways[last][1]


def _odd(part: Segment, height: float) -> float:
    """Return what the width of a part costs in a line whose digits are ``height`` pixels high."""
    high, wide = part.box.bottom - part.box.top, part.box.right - part.box.left
    ratio = wide / max(high, 0.8 * height)
    return WIDE * max(0.0, ratio - WIDEST) + NARROW * max(0.0, NARROWEST - ratio)
