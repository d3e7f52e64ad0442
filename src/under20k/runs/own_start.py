"""What a training of a user's own model starts from, and the files of it that its run keeps.

::

    runs/Net-0/model/
      initial.safetensors     every tensor of the model's state_dict before training
      net.py, …               its source and the modules that it imports, as they were
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from under20k.errors import InvalidValue, UserError
from under20k.files import is_present, write_bytes
from under20k.recipe.named import as_recipe
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs.tensors import read_tensors, safetensors_bytes

if TYPE_CHECKING:
    from under20k.engine.module_network import ModuleSource
    from under20k.recipe.changes import RecipeChanges

FOLDER = "model"
INITIAL = "initial.safetensors"


@dataclass(frozen=True)
class OwnStart:
    """What the training of one seed starts from. It can be pickled if ``source`` can."""

    initial: Tensors
    """Every tensor of the ``state_dict``, integers too, under its first name."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The source, by path."""
    source: ModuleSource | None = None
    """Makes the module, where PyTorch trains it for want of a graph."""

    def weights(self, model: OwnModel) -> Tensors:
        """Return the initial weights. Raises UserError if they do not fit the model."""
        weights = {name: self.initial[name] for name in model.tensors() if name in self.initial}
        check_weights(model, weights)
        return weights

    def is_of(self, run: Path) -> bool:
        """Return whether the training in a run folder began with these weights, as far as that is known."""
        before = read(run)
        return before is None or all(
            name in before.initial and np.array_equal(before.initial[name], value)
            for name, value in self.initial.items()
        )

    def write(self, run: Path) -> None:
        """Write the files into a run folder, in place of those that are there."""
        remove(run)
        for name, data in self.files.items():
            write_bytes(run / FOLDER / name, data)
        write_bytes(run / FOLDER / INITIAL, safetensors_bytes(self.initial, {}))


@dataclass(frozen=True)
class OwnTraining:
    """A recipe with what the training of each seed starts from."""

    recipe: Recipe
    start: Callable[[int], OwnStart | None]
    """Returns that of a seed; None for a network whose initial weights follow from the seed alone."""

    def with_changes(self, **changes: Unpack[RecipeChanges]) -> OwnTraining:
        """Return a copy with some settings of the recipe replaced. Raises UserError for invalid ones."""
        if self.recipe.own and "architecture" in changes:
            text = str(changes["architecture"])
            raise InvalidValue(
                f"architecture: {text!r:.80}; it replaces the network of a recipe, not a model"
            )
        return replace(self, recipe=self.recipe.with_changes(**changes))

    def check(self, seeds: Iterable[int]) -> None:
        """Raise UserError unless it is known what each of the seeds starts from."""
        if (model := self.recipe.own) and any(self.start(seed) is None for seed in seeds):
            raise UserError(
                f"the initial weights of {model} are made by its constructor: add --trust to run "
                f"{model.target or 'it'}"
            )


def training_of(name: str, value: object) -> OwnTraining:
    """Return the training that a function's argument ``name`` gives. Raises UserError if it gives none."""
    return value if isinstance(value, OwnTraining) else OwnTraining(as_recipe(name, value), lambda seed: None)


def read(run: Path) -> OwnStart | None:
    """Return what the training in a run folder began with, without a source; None if it keeps nothing.

    Raises UserError if its files are damaged.
    """
    path = run / FOLDER / INITIAL
    if not is_present(path):
        return None
    folder = path.parent
    names = sorted(each for each in folder.rglob("*") if each.is_file() and each != path)
    files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in names}
    return OwnStart(read_tensors(path, ())[0], files)


def remove(run: Path) -> None:
    """Remove the files of a model from a run folder, if any. Raises UserError if that fails."""
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(run / FOLDER)
    except OSError as error:
        raise UserError(f"{run / FOLDER} cannot be removed: {error.strerror or error}") from error


def saved(model: OwnModel, weights: Tensors, initial: Mapping[str, Any], steps: int) -> Tensors:
    """Return trained weights as a whole ``state_dict``, which the module loads strictly.

    Args:
        model: whose weights they are.
        weights: the trained ones.
        initial: all tensors before training: what is not trained stays as it was.
        steps: of the training, which BatchNorm counts.
    """
    whole = {**initial, **weights}
    for name, count in model.counters(steps).items():
        if name in whole:
            whole[name] = whole[name] + np.array(count, whole[name].dtype)
    whole |= {alias: whole[first] for alias, first in model.aliases if first in whole}
    return whole
