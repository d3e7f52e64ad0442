"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import perf_counter

from under20k.data import Mnist
from under20k.data.events import ignore
from under20k.engine.base import Divergence, Engine
from under20k.engine.evaluation import evaluate
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
    training, validation = data.train, data.validation
    for epoch in range(done + 1, recipe.epochs + 1):
        started = perf_counter()
        plan = epoch_plan(recipe, seed, epoch, len(training.labels))
        planned = max(perf_counter(), started)
        result = engine.train_epoch(training.images, training.labels, plan, on_step)
        trained = max(perf_counter(), planned + SHORTEST_S)
        scores = evaluate("validation", engine.logits(validation.images), validation.labels)
        if not math.isfinite(scores.loss):
            raise Divergence(f"the weights diverged in epoch {epoch}; lower --learning-rate")
        yield EpochMetrics(
            epoch=epoch,
            learning_rate=float(plan.learning_rates[0]),
            train_loss=result.loss,
            train_accuracy=result.correct / len(training.labels),
            validation_loss=scores.loss,
            validation_accuracy=scores.accuracy,
            train_time_s=trained - planned,
            total_time_s=max(perf_counter(), trained) - started,
            images_per_s=len(training.labels) / (trained - planned),
        )
