"""A training of three epochs on a few hundred real images, for the loop and what saves it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import under20k.runs.metrics
from under20k.data import Mnist, Split
from under20k.engine.torch_engine import TorchEngine
from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights
from under20k.runs.metrics import EpochMetrics

SMALL = MINIMAL.with_changes(
    architecture="8,12pd0.1,14p,16v|3v",
    epochs=3,
    batch_size=32,
    learning_rate=0.05,
    schedule="one-cycle",
    rotation_deg=10,
    average_decay=0.9,
)
SEED = 5


@pytest.fixture
def few(mnist: Mnist, monkeypatch: pytest.MonkeyPatch) -> Mnist:
    """The first images, of which a run's accuracies are then shares."""
    monkeypatch.setattr(under20k.runs.metrics, "TRAIN_IMAGES", 352)
    monkeypatch.setattr(under20k.runs.metrics, "VALIDATION_IMAGES", 160)

    def first(split: Split, count: int) -> Split:
        return replace(split, images=split.images[:count], labels=split.labels[:count])

    return Mnist(first(mnist.train, 352), first(mnist.validation, 160))


def fresh(recipe: Recipe = SMALL) -> TorchEngine:
    return TorchEngine(recipe, initial_weights(recipe.architecture, SEED))


def untimed(metrics: list[EpochMetrics]) -> list[EpochMetrics]:
    return [replace(row, train_time_s=0, total_time_s=0, images_per_s=0) for row in metrics]
