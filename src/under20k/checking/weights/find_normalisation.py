"""Find the normalisation that a model's inputs had in training.

If the model has BatchNorm, the first one's running mean and variance are those of its inputs in training, so
the affine transform from pixels to inputs follows by least squares over its channels. Without BatchNorm, the
loss on training images decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from under20k.checking.weights.minimise import downhill, least_squares
from under20k.checking.weights.normalisation import CANDIDATES, INPUTS, Inputs, Normalisation
from under20k.checking.weights.scores import batch_norm_residuals, count_correct, mean_loss
from under20k.data import Split

TRIED_IMAGES = 2_000
"""Of the train split, so that the search selects on nothing that is reported."""
FITTING_IMAGES = 500
"""Of those, for figures that are computed many times."""
SAME_LOSS = 1.25, 0.01
"""Factor and term: a usual normalisation is preferred if its loss is at most this far above the least."""
SNAP_DISTANCE = 0.005
"""And if its distance from BatchNorm's statistics is: training images are often augmented."""
CLEAR_DISTANCE = 0.0012
"""At most this far, no other kind of inputs is tried."""
CLEARLY_MORE = 0.01
"""Fraction of the training images."""
POOR_DISTANCE = 0.1
"""Further than this, no normalisation fits."""
POOR_ACCURACY = 0.8
"""On training images, for a model without BatchNorm: below, no normalisation fits."""


@dataclass(frozen=True)
class Found:
    """The normalisation that fits best, and how well it does."""

    normalisation: Normalisation
    images: int
    """Training images that it was tried on."""
    correct: int
    """Number of them that the model gets right."""
    distance: float | None
    """From the inputs to the first BatchNorm's running statistics; None without BatchNorm."""

    @property
    def warning(self) -> str | None:
        """Why this is not the normalisation of the training, or None if it may be."""
        shown = (
            f"{self.correct / self.images:.1%} of {self.images:,} training images are right"
            f" with inputs {self.normalisation.text}"
        )
        if self.distance is not None and not self.distance <= POOR_DISTANCE:
            reason = f"none matches its BatchNorm's running statistics ({shown}, the nearest)"
        elif self.distance is None and self.correct < POOR_ACCURACY * self.images:
            reason = f"{shown}, the most"
        else:
            return None
        return (
            f"no accuracy: the normalisation of the inputs cannot be found: {reason}; "
            "give it with --mean and --std"
        )


def find_normalisation(model: nn.Module, train: Split) -> Found:
    """Find the normalisation that ``model`` was trained with, on images of ``train``."""
    images, labels = train.images[:FITTING_IMAGES], train.labels[:FITTING_IMAGES]
    distance = None
    with torch.no_grad():
        remembers = batch_norm_residuals(model, Normalisation(0.0, 1.0)(images[:2])) is not None
    if remembers:
        chosen, distance = _by_batch_norm(model, images, labels)
    else:
        chosen = _by_loss(model, images, labels, train)
    correct = count_correct(model, train, chosen, TRIED_IMAGES)
    return Found(chosen, min(TRIED_IMAGES, len(train)), correct, distance)


def _by_batch_norm(
    model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[Normalisation, float]:
    """Return the normalisation nearest to the first BatchNorm's running statistics, and its distance."""
    best: tuple[float, float, Normalisation] | None = None  # distance, loss, which
    for inputs in INPUTS:
        try:
            found = _fitted(model, images, labels, inputs, math.inf if best is None else 3 * best[0])
        except Exception:
            if best is None:  # the model's own error; it may refuse images of another size
                raise
            continue
        # Anything but plain x/255 must be clearly better.
        if best is None or (found[0] < 0.75 * best[0] and found[1] <= best[1]):
            best = found
        if best[0] < CLEAR_DISTANCE:
            break
    assert best is not None
    return best[2], best[0]


def _fitted(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    inputs: Inputs,
    worth_fitting: float,
) -> tuple[float, float, Normalisation]:
    """Return distance, loss and normalisation of the best one for a kind of inputs.

    Args:
        model: with BatchNorm.
        images: (N, 28, 28), to compare with the running statistics.
        labels: (N,), for the loss.
        inputs: kind of inputs.
        worth_fitting: fit by least squares only if a usual normalisation is this near.
    """

    def residuals(mean: float, std: float) -> NDArray[np.float64]:
        found = batch_norm_residuals(model, Normalisation(mean, std, inputs)(images))
        assert found is not None
        return found

    def distance(each: Normalisation) -> float:
        found = residuals(each.mean, each.std)
        value = float((found**2).sum() / (len(found) // 2))
        return value if math.isfinite(value) else math.inf

    usual = [Normalisation(*CANDIDATES[name], inputs, name) for name in inputs.usual]
    by_distance = sorted(((distance(each), each) for each in usual), key=lambda pair: pair[0])
    # Two transforms may fit alike, such as an inverted one: start from either sign.
    sign = by_distance[0][1].std
    starts = [by_distance[0], *[pair for pair in by_distance if pair[1].std * sign < 0][:1]]
    fits = [
        Normalisation(*least_squares(residuals, each.mean, each.std), inputs)
        for far, each in starts
        if math.isfinite(far) and by_distance[0][0] <= worth_fitting
    ]
    options = [*by_distance[:3], *((distance(each), each) for each in fits)]
    return _preferred(options, lambda each: mean_loss(model, each(images), labels))


def _preferred(
    options: list[tuple[float, Normalisation]], loss_of: Callable[[Normalisation], float]
) -> tuple[float, float, Normalisation]:
    """Return the least distance, and the loss and the normalisation preferred among the nearest."""
    least = min(far for far, _ in options)
    near = [(far, loss_of(each), each) for far, each in options if far <= 2 * least + SNAP_DISTANCE]
    near = near or [(math.inf, math.inf, options[0][1])]
    factor, term = SAME_LOSS
    limit = factor * min(loss for _, loss, _ in near) + term
    _, loss, chosen = min(
        (option for option in near if option[1] <= limit or math.isnan(limit)),
        key=lambda option: (not option[2].name, option[0]),
        default=near[0],
    )
    return least, loss, chosen


def _by_loss(
    model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: Split
) -> Normalisation:
    """Return the usual normalisation of the least loss, or one that gets clearly more images right."""

    def loss(each: Normalisation) -> float:
        found = mean_loss(model, each(images), labels)
        return found if math.isfinite(found) else math.inf

    usual = sorted((Normalisation(*pair, INPUTS[0], name) for name, pair in CANDIDATES.items()), key=loss)
    others = [downhill(loss, usual[0])]
    for inputs in INPUTS[1:]:
        ways = [Normalisation(*CANDIDATES[name], inputs, name) for name in inputs.usual[:2]]
        try:
            others.append(min(ways, key=loss))
        except Exception:  # it may refuse images of another size
            continue
    best, most = usual[0], count_correct(model, train, usual[0], TRIED_IMAGES)
    margin = CLEARLY_MORE * min(TRIED_IMAGES, len(train))
    for each in others:
        # Larger inputs may lower the loss only by making the model more confident.
        if (right := count_correct(model, train, each, TRIED_IMAGES)) > most + margin:
            best, most = each, right
    return best
