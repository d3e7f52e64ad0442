"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from under20k.data import Mnist, Split
from under20k.data.events import ignore
from under20k.engine.base import Divergence, Engine
from under20k.engine.evaluation import evaluate
from under20k.recipe.drawn import drawn_digits
from under20k.recipe.limits import DRAWN_IMAGES
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.runs.metrics import EpochMetrics

SHORTEST_S = 1e-6
"""Time of an epoch if a virtual machine's clock stands still or goes back."""


def train_epochs(
    recipe: Recipe,
    seed: int,
    data: Mnist,
    engine: Engine,
    *,
    done: int = 0,
    on_step: Callable[[int], None] = ignore,
) -> Iterator[EpochMetrics]:
    """Train the remaining epochs, yielding the metrics of each when it is done.

    Args:
        recipe: what to train.
        seed: determines all random choices.
        data: trained on ``data.train``, evaluated on ``data.validation``.
        engine: in the state after ``done`` epochs.
        done: epochs trained before.
        on_step: called with the number of images done in the running epoch.

    Raises:
        Divergence: if a loss is not finite.
    """
    validation = data.validation
    images, labels = training_images(recipe, seed, data.train)
    of_mnist = len(data.train)
    for epoch in range(done + 1, recipe.epochs + 1):
        started = perf_counter()
        plan = epoch_plan(recipe, seed, epoch, of_mnist, drawn=len(labels) - of_mnist)
        planned = max(perf_counter(), started)
        result = engine.train_epoch(images, labels, plan, on_step)
        trained = max(perf_counter(), planned + SHORTEST_S)
        scores = evaluate("validation", engine.logits(validation.images), validation.labels)
        if not math.isfinite(scores.loss):
            raise Divergence(f"the weights diverged in epoch {epoch}; lower --learning-rate")
        yield EpochMetrics(
            epoch=epoch,
            learning_rate=float(plan.learning_rates[0]),
            train_loss=result.loss,
            train_accuracy=result.correct / len(plan.order),
            validation_loss=scores.loss,
            validation_accuracy=scores.accuracy,
            train_time_s=trained - planned,
            total_time_s=max(perf_counter(), trained) - started,
            images_per_s=len(plan.order) / (trained - planned),
        )


def training_images(
    recipe: Recipe, seed: int, training: Split
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return MNIST's images (N, 28, 28) and labels (N,), and drawn ones after them if there are to be any."""
    if not recipe.drawn_share:
        return training.images, training.labels
    drawn = drawn_digits(DRAWN_IMAGES, seed)
    images, labels = (
        np.concatenate(pair) for pair in zip((training.images, training.labels), drawn, strict=True)
    )
    return images, labels
