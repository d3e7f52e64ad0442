"""A training as a film: the weights before it and after each epoch, of a run or in the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from under20k.deploy.card import FOLDER, Card
from under20k.errors import UserError, in_words
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_weights, initial_weights
from under20k.runs import own_start
from under20k.runs.run import Run
from under20k.runs.tensors import read_tensors, safetensors_bytes

FILMS = "films"
"""In the folder of the pretrained models."""
ENTRIES = ("recipe", "seed", "epochs", "validation_accuracies")


@dataclass(frozen=True, eq=False)
class Film:
    """The weights after epochs, the last epoch's at the end."""

    epochs: tuple[int, ...]
    """Counted from 1, ascending; 0 stands for the weights before the training."""
    validation_accuracies: tuple[float | None, ...]
    """At the end of each, as fractions; None where it was not measured."""
    weights: tuple[Tensors, ...]
    """At the end of each."""


def film_of_run(run: Run) -> Film | None:
    """Return the film of a finished run; None where there is no snapshot but the last. Raises UserError."""
    accuracies = {metrics.epoch: metrics.validation_accuracy for metrics in run.metrics()}
    last = run.recipe.epochs
    weights = run.snapshots() | {last: run.weights()}
    if len(weights) < 2:
        return None
    if (before := _before(run)) is not None:
        weights = {0: before, **weights}
    return Film(tuple(weights), tuple(map(accuracies.get, weights)), tuple(weights.values()))


def _before(run: Run) -> Tensors | None:
    """Return the weights before a training; None where the run of a user's own model does not keep them."""
    if run.recipe.own is None:
        return initial_weights(run.recipe.architecture, run.seed)
    start = own_start.read(run.path)
    return None if start is None else start.weights(run.recipe.own)


def pretrained_film(card: Card) -> Film | None:
    """Return the film of a pretrained model, if the package has it. Raises UserError if it is damaged."""
    path = film_path(card.name)
    if not path.is_file():
        return None
    tensors, metadata = read_tensors(path, ENTRIES)
    if (metadata.get("recipe"), metadata.get("seed")) != (card.recipe.to_json(), str(card.seed)):
        raise UserError(f"{path} is not the film of the pretrained {card.name}")
    try:
        epochs, accuracies = (tuple(json.loads(metadata[name])) for name in ENTRIES[2:])
        before = [initial_weights(card.recipe.architecture, card.seed)] if epochs[0] == 0 else []
        weights = [
            {name: value[index].astype(np.float32) for name, value in tensors.items()}
            for index in range(len(epochs) - 1 - len(before))
        ]
        weights = [*before, *weights]
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{path} is damaged: {in_words(error)}") from error
    for each in weights:
        check_weights(card.recipe.architecture, each)
    return Film(epochs, accuracies, (*weights, card.weights()))


def film_path(name: str) -> Path:
    """Return where the film of a pretrained model lies, if there is one."""
    return FOLDER / FILMS / f"{name}.safetensors"


def film_bytes(film: Film, recipe: Recipe, seed: int) -> bytes:
    """Return a safetensors file of the epochs but the last, which is the model's: float16 (epochs, …).

    The weights before the training follow from recipe and seed, and are not in the file.

    Args:
        film: the film.
        recipe: of the training.
        seed: of the training.
    """
    earlier = film.weights[film.epochs[0] == 0 : -1]
    # As many bytes as bfloat16, eight times as precise at the size of weights, and known to NumPy.
    tensors = {
        name: np.stack([weights[name] for weights in earlier]).astype(np.float16) for name in earlier[0]
    }
    metadata = {
        "recipe": recipe.to_json(),
        "seed": str(seed),
        "epochs": json.dumps(film.epochs),
        "validation_accuracies": json.dumps(film.validation_accuracies),
    }
    return safetensors_bytes(tensors, metadata)
