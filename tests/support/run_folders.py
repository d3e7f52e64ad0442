"""A small recipe and what a run of it would have saved, made without training."""

from pathlib import Path
from typing import Any

from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, initial_weights
from under20k.runs.metrics import EpochMetrics
from under20k.runs.run import Run

SMALL = MINIMAL.with_changes(architecture="4p,6p|3v", epochs=3)
ENVIRONMENT: dict[str, Any] = {"engine": "torch", "command": "under20k train small"}


def metrics(epochs: int) -> list[EpochMetrics]:
    return [
        EpochMetrics(epoch, 0.1, 1 / 3, 0.97, 0.1 + epoch / 7, 0.98, 1.5, 2.25, 1e5 / 3)
        for epoch in range(1, epochs + 1)
    ]


def state(recipe: Recipe = SMALL, seed: int = 0) -> Tensors:
    """What an engine would hand out: weights and momentum."""
    weights = initial_weights(recipe.architecture, seed)
    return weights | {f"momentum.{name}": value for name, value in weights.items() if "running" not in name}


def new_run(path: Path, epochs: int = 0, finished: bool = False, recipe: Recipe = SMALL) -> Run:
    """A run folder at ``path`` after so many epochs."""
    run = Run.create(path, recipe, 0, ENVIRONMENT)
    if epochs:
        run.save_epoch(state(recipe), metrics(epochs))
    if finished:
        run.save_model(initial_weights(recipe.architecture, 0), metrics(epochs))
    return run
