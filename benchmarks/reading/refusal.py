"""What is refused: digits, which should not be, and pictures of what is no digit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reading import others, small
from benchmarks.reading.prepared import Probabilities, of_images, prepared
from benchmarks.reading.road import Brought, Collection, brought
from under20k.data.images.digit_image import digit_image
from under20k.data.mnist import Split
from under20k.deploy.believe import believed, fit_threshold
from under20k.deploy.calibration import fit_temperature
from under20k.deploy.model import Model

MOST_REFUSED = 0.005
"""Of the digits that are read rightly: the threshold refuses no more."""


def measured(validation: Split, written: int, drawn: int, jobs: int) -> Callable[[Model], dict[str, Any]]:
    """Prepare the pictures, and return what measures a model.

    Args:
        validation: Digits.
        written: How many of them are scaled to few pixels, for the threshold.
        drawn: How many pictures there are of each kind of what is no digit.
        jobs: Processes.
    """
    variants = small.variants(validation.images[:written], validation.labels[:written]).values()
    pictures = [picture for each in variants for picture in each.pictures]
    labels = np.concatenate([each.labels for each in variants])
    (few,) = prepared({"few pixels": Collection(pictures, labels)}, jobs)
    kinds = {name: draw(drawn) for name, draw in others.KINDS.items()}
    found = {name: brought(pictures, jobs) for name, pictures in kinds.items()}
    pairs = np.stack([digit_image(ink) for ink in others.pairs(validation.images[: 2 * drawn])])

    def measure(model: Model) -> dict[str, Any]:
        model = replace(
            model, temperature=fit_temperature(model.logits(validation.images), validation.labels)
        )
        whole, small_ones = of_images(model, validation.images), of_images(model, few.found.images)
        right = {
            "validation": (validation.images, whole, np.flatnonzero(whole.argmax(1) == validation.labels)),
            few.name: (few.found.images, small_ones, few.right(small_ones)),
        }
        threshold = fit_threshold(
            [probabilities[rows].max(1) for _, probabilities, rows in right.values()], MOST_REFUSED
        )
        accepted = {
            name: _accepted(each, of_images(model, each.images), threshold, len(kinds[name]))
            for name, each in found.items()
        }
        accepted["two digits"] = float(believed(of_images(model, pairs), pairs, threshold).mean())
        refused = {
            name: float(1 - believed(probabilities[rows], images[rows], threshold).mean())
            for name, (images, probabilities, rows) in right.items()
        }
        return {"threshold": threshold, "refused": refused, "accepted": accepted}

    return measure


def _accepted(found: Brought, probabilities: Probabilities, threshold: float, pictures: int) -> float:
    """Return the fraction of pictures in which anything is believed to be a digit."""
    kept = found.kept(probabilities)
    if not len(kept):
        return 0.0
    digits: NDArray[np.bool_] = believed(probabilities[kept], found.images[kept], threshold)
    return len(np.unique(found.owners[kept[digits]])) / pictures
