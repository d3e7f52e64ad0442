"""Believe that an image shows a digit, or refuse it.

Two things refuse an image: a shape that no digit has, and a network that is unsure. Neither needs examples of
what is no digit. A network that never saw any is sure of much of it, though: docs/reading.md has the rates.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

INK = 127
"""Brighter pixels are ink."""
FLATTEST = 0.5
"""Height of a digit's ink relative to its width, at least."""
THICKEST = 5.5
"""Radius in pixels of the largest disc within a digit's ink, at most."""


def has_shape(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether each image (N, 28, 28) could be a digit by its shape, bool (N,).

    It has ink, is not flat as a dash is, and not filled as a blot is. Two in 1,000 of MNIST's digits fail.
    """
    return np.array([_has_shape(image > INK) for image in images], bool)


def _has_shape(ink: NDArray[np.bool_]) -> bool:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows) or np.ptp(rows) + 1 < FLATTEST * (np.ptp(columns) + 1):
        return False
    return bool(ndimage.distance_transform_edt(np.pad(ink, 1)).max() <= THICKEST)


def believed(
    probabilities: NDArray[np.floating], images: NDArray[np.uint8], threshold: float
) -> NDArray[np.bool_]:
    """Return whether each image is believed to show a digit, bool (N,).

    Args:
        probabilities: Calibrated, (N, 10).
        images: What the network saw, uint8 (N, 28, 28).
        threshold: The least probability of the most probable digit, 0–1.
    """
    return np.asarray((probabilities.max(1) >= threshold) & has_shape(images))


def fit_threshold(confidences: Iterable[NDArray[np.floating]], most_refused: float) -> float:
    """Return the greatest threshold that refuses at most a fraction of each collection.

    Args:
        confidences: For each collection of digits that are read rightly, their greatest probabilities (N,).
        most_refused: The fraction of a collection below the threshold, 0–1.

    Raises:
        ValueError: A collection is empty.
    """
    limits = []
    for confidence in confidences:
        if not len(confidence):
            raise ValueError("a collection is empty; the threshold needs digits that are read rightly")
        ordered = np.sort(confidence)
        limits.append(float(ordered[min(int(most_refused * len(ordered)), len(ordered) - 1)]))
    return min(limits)
