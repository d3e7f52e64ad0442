"""The training loop."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Protocol

from under20k.data import Mnist
from under20k.engine.base import Divergence, Engine
from under20k.engine.evaluation import evaluate
from under20k.recipe.plan import epoch_plan
from under20k.runs.metrics import EpochMetrics
from under20k.runs.run import Run

SHORTEST_S = 1e-6
"""That an epoch can take, should a virtual machine's clock stand still or go back."""


class Observer(Protocol):
    """Someone who watches a training: the command line's progress display, or nobody."""

    def on_step(self, images_done: int) -> None:
        """So many images of the running epoch are done."""

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """An epoch is done and on disk."""


class Nobody:
    """An observer that looks away."""

    def on_step(self, images_done: int) -> None: ...

    def on_epoch(self, metrics: EpochMetrics) -> None: ...


def train(run: Run, data: Mnist, engine: Engine, observer: Observer | None = None) -> list[EpochMetrics]:
    """Train ``run`` to its last epoch, going on from its checkpoint if it has one; returns every epoch.

    ``engine`` is fresh, with the initial weights of the run's recipe and seed. After each epoch the state is
    on disk; an exception (Ctrl-C included) loses the running epoch only. Raises Divergence if the loss is
    not finite.
    """
    observer = observer or Nobody()
    recipe, training, validation = run.recipe, data.train, data.validation
    metrics: list[EpochMetrics] = []
    if checkpoint := run.checkpoint():
        state, metrics = checkpoint
        engine.load_state(state)

    for epoch in range(len(metrics) + 1, recipe.epochs + 1):
        started = perf_counter()
        plan = epoch_plan(recipe, run.seed, epoch, len(training.labels))
        planned = max(perf_counter(), started)
        result = engine.train_epoch(training.images, training.labels, plan, observer.on_step)
        trained = max(perf_counter(), planned + SHORTEST_S)
        scores = evaluate("validation", engine.logits(validation.images), validation.labels)
        if not math.isfinite(scores.loss):
            raise Divergence(f"the weights diverged in epoch {epoch}; lower --learning-rate")
        metrics.append(
            EpochMetrics(
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
        )
        run.save_epoch(engine.state(), metrics)
        observer.on_epoch(metrics[-1])

    run.save_model(engine.weights(), metrics)
    return metrics
