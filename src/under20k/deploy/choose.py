"""Choose how ink is read: as one digit, or as several that touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.digit_image import digit_image
from under20k.data.images.segment import Parts, Segment

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Takes images (N, 28, 28) to probabilities (N, 10)."""

CUT, CROSSED, WIDE, NARROW = 0.15, 0.2, 2.2, 0.5
"""What a cut costs, and each width of the stroke that it crosses beyond one; a digit too wide or too narrow."""
WIDEST, NARROWEST = 0.9, 0.2


def choose(found: list[Segment], probabilities: Probabilities) -> list[Segment]:
    """Return segments without parts: each as it is, or the parts that the classifier believes most."""
    parts = [part for segment in found if segment.parts for part in segment.parts.between.values()]
    if not parts:
        return found
    believed = iter(np.log(probabilities(np.stack([digit_image(part.ink) for part in parts])).max(1)))
    chosen: list[Segment] = []
    for segment in found:
        if segment.parts is None:
            chosen.append(segment)
            continue
        belief = {ends: float(next(believed)) for ends in segment.parts.between}
        chosen += [replace(segment.parts.between[ends]) for ends in best(segment.parts, belief)]
    return chosen


def best(parts: Parts, belief: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Return the parts that together are the most likely reading, by the logarithms of their probabilities."""
    last = len(parts.crossed) + 1
    scores = {0: (0.0, [])}
    ways: dict[int, tuple[float, list[tuple[int, int]]]] = dict(scores)
    for stop in range(1, last + 1):
        price = CUT + CROSSED * max(0.0, parts.crossed[stop - 1] - 1) if stop < last else 0.0
        options = [
            (ways[start][0] + belief[start, stop] - _odd(parts.between[start, stop], parts.height) - price,
             [*ways[start][1], (start, stop)])
            for start in range(stop)
            if start in ways and (start, stop) in belief
        ]
        if options:
            ways[stop] = max(options)
    return ways[last][1]


def _odd(part: Segment, high: float) -> float:
    """Return how much less likely the width of a part makes it, in a line ``high`` pixels high."""
    ratio = part.ink.shape[1] / max(part.ink.shape[0], 0.8 * high)
    return WIDE * max(0.0, ratio - WIDEST) + NARROW * max(0.0, NARROWEST - ratio)
