"""One epoch's figures, and the lines of JSON that keep them."""

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
    """One epoch's line in ``metrics.jsonl``. Accuracies are fractions; training ones are counted during
    the epoch, in training mode.
    """

    epoch: int
    learning_rate: float
    """At the epoch's first step."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    train_time_s: float
    """The epoch's training alone: augmentation, forward, backward and optimiser."""
    total_time_s: float
    """With drawing the plan and evaluating."""
    images_per_s: float
    """Training images by ``train_time_s``."""


def metrics_lines(metrics: list[EpochMetrics]) -> str:
    """A JSON line an epoch."""
    return "".join(json.dumps(asdict(epoch), allow_nan=False) + "\n" for epoch in metrics)


def parse_metrics(lines: list[str], path: Path, recipe: Recipe) -> list[EpochMetrics]:
    """The inverse of ``metrics_lines``, of a training by ``recipe``.

    Raises UserError, naming ``path``, for anything else, and for figures that no training gives.
    """
    try:
        metrics = [epoch_metrics(json_object(line)) for line in lines]
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path} is damaged: its metrics cannot be read: {in_words(error)}") from error
    for fault in epoch_faults(metrics, recipe):
        raise UserError(f"{path} is damaged: {fault}")
    return metrics


def epoch_metrics(values: dict[str, Any]) -> EpochMetrics:
    """The inverse of ``asdict``. Raises ValueError or TypeError for what is no figure.

    Whether a training can have given them says ``plausible.epoch_faults``.
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
    """Raises ValueError where ``line`` is no JSON object."""
    value = parse_json(line)
    if not isinstance(value, dict):
        raise ValueError("a line holds something else than an object")
    return value
