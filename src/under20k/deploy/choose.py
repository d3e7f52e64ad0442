"""Choose how ink is read: as one digit, or as several that touch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.digit_image import digit_image
from under20k.data.images.segment import Segment

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Takes images (N, 28, 28) to probabilities (N, 10)."""


def choose(found: list[Segment], probabilities: Probabilities) -> list[Segment]:
    """Return segments without alternatives: each as it is, or cut as the classifier believes most."""
    ways = [[(segment,), *segment.alternatives] for segment in found]
    parts = [part for each in ways if len(each) > 1 for way in each for part in way]
    if not parts:
        return found
    believed = iter(probabilities(np.stack([digit_image(part.ink) for part in parts])).max(1))
    chosen: list[Segment] = []
    for each in ways:
        if len(each) == 1:
            chosen += each[0]
            continue
        scores = [_score(way, [float(next(believed)) for _ in way]) for way in each]
        chosen += each[int(np.argmax(scores))]
    return chosen


def _score(way: tuple[Segment, ...], believed: list[float]) -> float:
    """Return how likely a way to read is, from the belief in its digits and their shape."""
    score = float(np.mean(np.log(np.maximum(believed, 1e-6))))
    for part in way:
        ratio = part.ink.shape[1] / part.ink.shape[0]
        score -= max(0.0, ratio - 0.95) * 4 / len(way)
    return score - 0.05 * (len(way) - 1)
