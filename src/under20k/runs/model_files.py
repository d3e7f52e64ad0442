"""The safetensors files of a run: the checkpoint that training resumes from, and the trained model.

Their metadata name the run's recipe and seed; the checkpoint's also hold the epochs so far, the model's what
the network takes as its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from under20k.engine.base import INPUT, MEAN, STANDARD_DEVIATION
from under20k.errors import InvalidValue, UserError
from under20k.files import write_bytes
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs.metrics import EpochMetrics, metrics_lines, parse_metrics
from under20k.runs.tensors import read_tensors, safetensors_bytes

INPUT_ENTRIES = {
    "input": f"(N, 1, 28, 28) float32, {INPUT} of pixels x from 0 (background) to 255",
    "input_mean": str(MEAN),  # of x/255
    "input_std": str(STANDARD_DEVIATION),
}
"""Metadata of a model that describe the network's input."""


def write_model(path: Path, recipe: Recipe, seed: int, weights: Tensors) -> None:
    """Write trained weights to ``path``, with metadata of the recipe, the seed and the network's input."""
    metadata = {**_owner(recipe, seed), **INPUT_ENTRIES}
    write_bytes(path, safetensors_bytes(weights, metadata))


def read_model(path: Path, recipe: Recipe, seed: int) -> Tensors:
    """Return the trained weights in ``path``.

    Args:
        path: the file.
        recipe: whose architecture the weights must fit.
        seed: of the training.

    Raises:
        UserError: the file is damaged, of another recipe or seed, or does not fit.
    """
    tensors, metadata = read_tensors(path, ("recipe", "seed", *INPUT_ENTRIES))
    if metadata:  # other programs write safetensors without
        _check_owner(path, metadata, recipe, seed)
    tensors = floats_of(recipe, tensors)
    try:
        check_weights(recipe.architecture, tensors)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return tensors


def floats_of(recipe: Recipe, tensors: Tensors) -> Tensors:
    """Return the weights in a model's file, which of a user's own model is a whole ``state_dict``."""
    if recipe.own is None:
        return tensors
    further = dict(recipe.own.aliases).keys() | dict(recipe.own.integers).keys()
    return {name: value for name, value in tensors.items() if name not in further}


def write_checkpoint(
    path: Path, recipe: Recipe, seed: int, state: Tensors, metrics: list[EpochMetrics]
) -> None:
    """Write the state that training resumes from to ``path``, with the epochs that led to it."""
    metadata = {**_owner(recipe, seed), "metrics": metrics_lines(metrics)}
    write_bytes(path, safetensors_bytes(state, metadata))


def read_checkpoint(path: Path, recipe: Recipe, seed: int) -> tuple[Tensors, list[EpochMetrics]]:
    """Return the state in ``path`` and the epochs that led to it.

    Args:
        path: the file.
        recipe: of the run.
        seed: of the run.

    Raises:
        UserError: the file is damaged, or of another recipe or seed.
    """
    tensors, metadata = read_tensors(path, ("recipe", "seed", "metrics"))
    _check_owner(path, metadata, recipe, seed)
    metrics = parse_metrics(metadata.get("metrics", "").splitlines(), path, recipe)
    if not metrics:
        raise UserError(f"{path} is damaged: it holds no epoch; train again with --overwrite")
    return tensors, metrics


def _owner(recipe: Recipe, seed: int) -> dict[str, str]:
    return {"recipe": recipe.to_json(), "seed": str(seed)}


def _check_owner(path: Path, metadata: Mapping[str, str], recipe: Recipe, seed: int) -> None:
    try:
        found = Recipe.from_json(metadata.get("recipe", ""))
    except InvalidValue:
        found = None
    if found != recipe or metadata.get("seed") != str(seed):
        raise UserError(f"{path} belongs to another recipe or seed; train again with --overwrite")
