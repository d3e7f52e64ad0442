"""One epoch's figures, and the lines of JSON that keep them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from under20k.errors import UserError, in_words
from under20k.files import parse_json


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


def parse_metrics(lines: list[str], path: Path) -> list[EpochMetrics]:
    """The inverse of ``metrics_lines``. Raises UserError, naming ``path``, for anything else."""
    try:
        metrics = [epoch_metrics(json_object(line)) for line in lines]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path} is damaged: its metrics cannot be read: {in_words(error)}") from error
    if [row.epoch for row in metrics] != list(range(1, len(metrics) + 1)):
        raise UserError(f"{path} is damaged: its epochs do not count from 1 onwards")
    return metrics


def epoch_metrics(values: dict[str, Any]) -> EpochMetrics:
    """The inverse of ``asdict``. Raises ValueError, TypeError or OverflowError for what is no figure."""
    for name, value in values.items():
        if not is_figure(value):
            raise ValueError(f"{name} is {value!r}")
    return EpochMetrics(**values)


def is_figure(value: Any) -> bool:
    """Whether it is a finite number. Raises OverflowError for a whole one that no float holds."""
    return type(value) in (int, float) and math.isfinite(value)


def json_object(line: str) -> dict[str, Any]:
    """Raises ValueError where ``line`` is no JSON object."""
    value = parse_json(line)
    if not isinstance(value, dict):
        raise ValueError("a line holds something else than an object")
    return value
