"""The figures of an epoch, the JSON lines that store them, and whether a training can have given them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from under20k.errors import UserError, in_words
from under20k.files import parse_json
from under20k.formatting import percent
from under20k.recipe.limits import TRAIN_IMAGES, VALIDATION_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.runs.plausible import AMOUNT, accuracy_faults, is_amount, is_figure

RATE_ROUNDING = 1e-9  # relative, in a learning rate
TIME_ROUNDING = 1e-6  # relative, between times that follow from each other


@dataclass(frozen=True)
class EpochMetrics:
    """An epoch's line in ``metrics.jsonl``.

    Accuracies are fractions. Training accuracy is counted during the epoch, in training mode.
    """

    epoch: int
    learning_rate: float
    """At the epoch's first step."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_time_s: float
    """Seconds of training: augmentation, forward pass, backward pass and optimiser."""
    total_time_s: float
    """Seconds of the whole epoch, with drawing the plan and evaluating."""
    images_per_s: float
    """Training images divided by ``train_time_s``."""

    def __repr__(self) -> str:
        accuracies = f"train {percent(self.train_accuracy)}, validation {percent(self.validation_accuracy)}"
        return f"EpochMetrics(epoch {self.epoch}: {accuracies}, {self.total_time_s:.1f} s)"


def metrics_lines(metrics: list[EpochMetrics]) -> str:
    """Return a JSON line for each epoch."""
    return "".join(json.dumps(asdict(epoch), allow_nan=False) + "\n" for epoch in metrics)


def parse_metrics(lines: list[str], path: Path, recipe: Recipe) -> list[EpochMetrics]:
    """Invert ``metrics_lines``.

    Args:
        lines: a JSON line for each epoch.
        path: the file that they come from, for the error.
        recipe: what was trained.

    Raises:
        UserError: a line is damaged, or has figures that no training by ``recipe`` gives.
    """
    try:
        metrics = [epoch_metrics(json_object(line)) for line in lines]
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path} is damaged: its metrics cannot be read: {in_words(error)}") from error
    for fault in epoch_faults(metrics, recipe):
        raise UserError(f"{path} is damaged: {fault}")
    return metrics


def epoch_metrics(values: dict[str, Any]) -> EpochMetrics:
    """Invert ``asdict``. Raises ValueError or TypeError for anything but finite numbers.

    ``epoch_faults`` checks whether a training can have given them.
    """
    for name, value in values.items():
        if not is_figure(value):
            raise ValueError(f"{name} is {value!r:.80}")
    if type(values.get("epoch", 1)) is not int:
        raise ValueError(f"epoch is {values['epoch']!r}")
    return EpochMetrics(**values)


def epoch_faults(epochs: Sequence[EpochMetrics], recipe: Recipe) -> list[str]:
    """Return what is wrong with the epochs of a training by ``recipe``, finished or not."""
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        return ["its epochs are not numbered 1, 2, 3, …"]
    if len(epochs) > recipe.epochs:
        return [f"it has {len(epochs)} epochs, its recipe {recipe.epochs}"]
    return [f"epoch {epoch.epoch}: {fault}" for epoch in epochs for fault in _of_epoch(epoch, recipe)]


def _of_epoch(epoch: EpochMetrics, recipe: Recipe) -> list[str]:
    faults = []
    for name, images in (("train_accuracy", TRAIN_IMAGES), ("validation_accuracy", VALIDATION_IMAGES)):
        faults += accuracy_faults(name, getattr(epoch, name), images)
    for name in ("train_loss", "validation_loss", "train_time_s", "total_time_s", "images_per_s"):
        if not is_amount(value := getattr(epoch, name)):
            faults.append(f"{name} is {value!r}; {AMOUNT}")
    steps = -(-TRAIN_IMAGES // recipe.batch_size)
    planned = recipe.learning_rate_at((epoch.epoch - 1) * steps, steps)
    if not math.isclose(epoch.learning_rate, planned, rel_tol=RATE_ROUNDING, abs_tol=1e-300):
        faults.append(f"learning_rate is {epoch.learning_rate!r}; the recipe's schedule has {planned!r}")
    if faults:
        return faults
    if epoch.train_time_s > epoch.total_time_s * (1 + TIME_ROUNDING):
        faults.append(
            f"train_time_s {epoch.train_time_s!r} is more than total_time_s {epoch.total_time_s!r}, "
            "which includes it"
        )
    if not math.isclose(epoch.images_per_s * epoch.train_time_s, TRAIN_IMAGES, rel_tol=TIME_ROUNDING):
        faults.append(
            f"images_per_s is {epoch.images_per_s!r}, which is not {TRAIN_IMAGES:,} images in "
            f"{epoch.train_time_s!r} s"
        )
    return faults


def learning_rate_drops(
    recipe: Recipe, metrics: Sequence[EpochMetrics]
) -> list[tuple[EpochMetrics, EpochMetrics]]:
    """Return the pairs of neighbouring epochs between which a step schedule lowered the learning rate.

    Other schedules change it all the time, or never: they have no drops.
    """
    if recipe.schedule.schedule != "step":
        return []
    return [
        (before, after) for before, after in pairwise(metrics) if after.learning_rate < before.learning_rate
    ]


def json_object(line: str) -> dict[str, Any]:
    """Parse a line that holds a JSON object. Raises ValueError for anything else."""
    value = parse_json(line)
    if not isinstance(value, dict):
        raise ValueError("a line does not hold an object")
    return value
