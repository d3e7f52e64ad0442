"""A model that exists as an object, or as a function that makes one, in this process."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from under20k.checking.convert.describe import Described, describe
from under20k.checking.convert.seeded import seeded
from under20k.checking.convert.tensors import tensors_of
from under20k.checking.findings import ModelError
from under20k.checking.training.load import own_recipe
from under20k.checking.training.written import files_of, source_of
from under20k.engine.module_mode import set_training
from under20k.engine.module_network import seeded as state_restored
from under20k.errors import UserError, in_words
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.recipe import Recipe
from under20k.runs.own_start import OwnStart, OwnTraining

Factory = Callable[[], nn.Module]


@dataclass(frozen=True)
class ObjectSource:
    """A ``ModuleSource`` of a module."""

    module: nn.Module
    layout: str

    def load(self) -> nn.Module:
        """Return a copy of the module."""
        return copy.deepcopy(self.module)


@dataclass(frozen=True)
class FactorySource:
    """A ``ModuleSource`` of a class or function. It can be pickled if another process can import that."""

    factory: Factory
    layout: str

    def load(self) -> nn.Module:
        """Return a module, newly made."""
        return self.factory()

    def __getstate__(self) -> dict[str, Any]:
        try:
            found = b"__main__" not in pickle.dumps(self.factory)  # a notebook or script, known here alone
        except Exception:  # a lambda, for example; pickle raises much
            found = False
        if not found:
            raise pickle.PicklingError("they cannot import it")
        return {"factory": self.factory, "layout": self.layout}


def training_of_object(module: nn.Module, like: Recipe) -> tuple[OwnTraining, tuple[str, ...]]:
    """Return the training of a module, from the weights that it has, and remarks on how it was run.

    The module stays as it is. Raises UserError if it cannot be trained.
    """
    described, files = _described(module, None)
    source = None if described.model.graph else ObjectSource(copy.deepcopy(module), described.model.layout)
    start = OwnStart(described.tensors.values, files, source)
    return OwnTraining(own_recipe(described.model, like), lambda seed: start), described.notes


def training_of_factory(
    factory: Factory, seeds: Sequence[int], like: Recipe
) -> tuple[OwnTraining, tuple[str, ...]]:
    """Return the training of what a class or function makes, and remarks on how it was run.

    Args:
        factory: called once under each seed.
        seeds: that will be trained.
        like: whose settings it is trained by.

    Raises:
        UserError: it makes no model that can be trained.
    """
    described: Described | None = None
    source: FactorySource | None = None
    starts: dict[int, OwnStart] = {}
    for seed in seeds:
        module = made(factory, seed)
        if described is None:
            described, files = _described(module, factory)
            tensors = described.tensors
            source = None if described.model.graph else FactorySource(factory, described.model.layout)
        else:
            tensors = _checked(module, partial(tensors_of, module))
            if tensors.floats != described.tensors.floats:
                raise UserError(f"{type(module).__name__}: its tensors have other shapes each time")
        starts[seed] = OwnStart(tensors.values, files, source)
    assert described is not None
    return OwnTraining(own_recipe(described.model, like), lambda seed: starts[seed]), described.notes


def made(factory: Factory, seed: int) -> nn.Module:
    """Return what a class or function makes under a seed. Raises UserError if that is no module."""
    name = getattr(factory, "__name__", type(factory).__name__)
    try:
        with state_restored(0):
            module = seeded(seed, lambda: _ready(factory()))
    except Exception as error:
        raise UserError(f"{name} makes no model: {in_words(error)}") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"{name} gives {type(module).__name__}, not a torch.nn.Module")
    return module


def _ready(module: Any) -> Any:
    """Return a module, with the weights that lazy layers make of the first images."""
    if isinstance(module, nn.Module) and any(map(nn.parameter.is_lazy, module.parameters())):
        set_training(module, False)
        with torch.no_grad():
            module(torch.zeros(2, 1, IMAGE_SIDE, IMAGE_SIDE))
        set_training(module, True)
    return module


def _described(module: nn.Module, factory: Factory | None) -> tuple[Described, dict[str, bytes]]:
    """Return the description of a module, and the files of its source."""
    name = type(module).__name__
    found: Described = _checked(module, lambda: describe(module, name))
    # What its class is called with, and what that calls, nobody knows; the weights under one seed tell.
    tensors = found.tensors if factory is None else tensors_of(made(factory, 0))
    digest = hashlib.sha256(source_of(module).encode(errors="replace"))
    for tensor, value in tensors.values.items():
        digest.update(tensor.encode() + np.ascontiguousarray(value).tobytes())
    return replace(found, model=replace(found.model, sha256=digest.hexdigest())), files_of(module)


def _checked(module: nn.Module, do: Callable[[], Any]) -> Any:
    """Return what ``do`` does with a module. Raises UserError for whatever the module raises."""
    try:
        return do()
    except ModelError as error:
        raise UserError(f"{type(module).__name__}: {error}") from error
    except Exception as error:
        raise UserError(f"{type(module).__name__}: on images of 1×28×28: {in_words(error)}") from error
