"""The figures of an epoch, and the JSON lines that store them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from under20k.errors import UserError, in_words
from under20k.files import parse_json
from under20k.recipe.recipe import Recipe
from under20k.runs.plausible import epoch_faults, is_figure


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


def metrics_lines(metrics: list[EpochMetrics]) -> str:
    """Return a JSON line for each epoch."""
    return "".join(json.dumps(asdict(epoch), allow_nan=False) + "\n" for epoch in metrics)


def parse_metrics(lines: list[str], path: Path, recipe: Recipe) -> list[EpochMetrics]:
    """Invert ``metrics_lines``.

    Args:
        lines: a JSON line an epoch.
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

    ``plausible.epoch_faults`` checks whether a training can have given them.
    """
    for name, value in values.items():
        if not is_figure(value):
            raise ValueError(f"{name} is {value!r:.80}")
    if type(values.get("epoch", 1)) is not int:
        raise ValueError(f"epoch is {values['epoch']!r}")
    return EpochMetrics(**values)


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
