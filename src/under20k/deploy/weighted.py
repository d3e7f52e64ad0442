"""A PyTorch model of the user's with weights that the user trained, whoever computes it.

Its code runs in the process that ``check`` judges models in, and its weights file is read without unpickling
anything but tensors. Under which normalisation of the pixels the weights were trained is found as ``check
--accuracy`` finds it; the graph begins with what makes it of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from under20k.checking.judgement import Accuracy
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.sandbox import Sandbox, judge_apart
from under20k.checking.source.target import parse
from under20k.checking.training.load import TIME_LIMIT_S, load_model
from under20k.data import load as load_mnist
from under20k.data.events import OnFetch, ignore
from under20k.engine.base import INPUT, MEAN, STANDARD_DEVIATION
from under20k.errors import UserError
from under20k.formatting import percent
from under20k.recipe.fields import instance
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.operations import Scale
from under20k.recipe.own_model import OwnModel
from under20k.recipe.weights import Tensors

if TYPE_CHECKING:
    from torch import nn

    from under20k.engine.module_network import ModuleSource

NORMALISED = "normalised as trained"
"""Name of the node that makes the input that the model was trained with."""
Normalisation = tuple[float, float]
"""Mean and standard deviation that x/255 was normalised with in training."""


@dataclass(frozen=True)
class Weighted:
    """A model, its trained weights, and remarks for the user."""

    model: OwnModel
    """Its graph takes our input."""
    tensors: Tensors
    accuracy: Accuracy
    """On the validation images."""
    source: ModuleSource | None
    """Makes the module, which takes our input too, where there is no graph."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Changed:
    """A ``ModuleSource`` of a module that takes our input, and was trained with another one."""

    source: ModuleSource
    factor: float
    offset: float

    @property
    def layout(self) -> str:
        return self.source.layout

    def load(self) -> nn.Module:
        """Return the module, newly made, with a change of its input before it."""
        module = self.source.load()
        module.register_forward_pre_hook(lambda _, given: (given[0] * self.factor + self.offset, *given[1:]))
        return module


def load_weighted(
    target: str,
    weights: Path,
    arguments: Mapping[str, object] | None = None,
    normalisation: Normalisation | None = None,
    *,
    data_dir: Path | None = None,
    on_event: OnFetch = ignore,
) -> Weighted:
    """Run a model's code in a process of its own, and return the model with trained weights.

    Args:
        target: ``file.py:Name``, ``package.module:Name`` or a notebook.
        weights: a file of safetensors, PyTorch or NumPy (``.npz``).
        arguments: of the constructor.
        normalisation: of the training; None finds it.
        data_dir: holds MNIST; by default the cache folder.
        on_event: called with the events of a download.

    Raises:
        UserError: there is no such model, its weights are not its own, or no normalisation fits.
    """
    if not weights.is_file():
        raise UserError(f"--weights: {weights} is not a file")
    loaded = load_model(target, [0], arguments)
    tensors = tensors_in(weights, loaded.model)
    load_mnist(data_dir, on_event=on_event)  # the model's process has no network
    limits: dict[str, Any] = {"arguments": dict(arguments or {}), "weights": weights.absolute()}
    sandbox = Sandbox(
        load_profile("brief"), TIME_LIMIT_S, **limits, normalisation=normalisation, data_dir=data_dir
    )
    judgement = judge_apart(parse(target), sandbox)
    if judgement.accuracy is None:
        raise UserError(f"{target}: {judgement.weights_error or judgement.reason}")
    return weighted(target, loaded.model, tensors, judgement.accuracy, loaded.source, loaded.notes)


def normalisation(mean: float | None, std: float | None) -> Normalisation | None:
    """Return mean and standard deviation.

    Raises UserError for one alone, one that is no number, or one that divides by zero.
    """
    for name, value in (("mean", mean), ("std", std)):
        instance(name, value, Real | None, "a number")
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UserError("mean and std are only valid together: give both, or leave both out to find them")
    if not math.isfinite(mean) or not math.isfinite(std) or std == 0:
        raise UserError(f"mean is {mean:g} and std {std:g}; give finite numbers, and a std other than 0")
    return float(mean), float(std)


def weighted(
    name: str,
    model: OwnModel,
    tensors: Tensors,
    accuracy: Accuracy,
    source: ModuleSource | None,
    notes: tuple[str, ...],
) -> Weighted:
    """Return a model that takes our input.

    Args:
        name: of the model, for errors.
        model: as it is in its source.
        tensors: its weights.
        accuracy: what ``check --accuracy`` measures.
        source: makes the module.
        notes: remarks on how the source was read.

    Raises:
        UserError: no normalisation fits, or it is no affine change of the pixels.
    """
    if accuracy.warning is not None:
        raise UserError(f"{name}: {accuracy.warning}")
    factor, offset = change(accuracy)
    if (factor, offset) != (1, 0):
        if model.graph is not None:
            model = replace(model, graph=after(model.graph, factor, offset))
        elif source is not None:
            source = Changed(source, factor, offset)
    return Weighted(model, tensors, accuracy, source, (*notes, _measured(model, accuracy)))


def tensors_in(path: Path, model: OwnModel) -> Tensors:
    """Return the model's tensors in a weights file, as float32. Raises UserError if it has others."""
    import torch

    from under20k.checking.weights.weights_file import WeightsError, load_weights, match

    class Named(torch.nn.Module):
        """Tensors under the model's names, without the model."""

        def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
            shapes = model.tensors()
            shapes |= {name: shapes[first] for name, first in model.aliases if first in shapes}
            return {name: torch.empty(shape) for name, shape in shapes.items()}

    try:
        found = match(load_weights(path), Named())
    except WeightsError as error:
        raise UserError(f"{path}: {error}") from error
    tensors = {name: found[name].detach().to(torch.float32).numpy() for name in model.tensors()}
    check_finite(path, tensors)
    return tensors


def check_finite(path: Path, tensors: Tensors) -> None:
    """Raise UserError, with the name of the file that tensors are from, if one is not finite."""
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise UserError(f"{path}: {name} holds a value that is not finite; train again")


def change(accuracy: Accuracy) -> tuple[float, float]:
    """Return factor and offset from our input to the one of the training.

    Raises UserError if that is no such change.
    """
    if accuracy.inputs:
        raise UserError(
            f"the weights were trained with other inputs ({accuracy.normalisation}); expected 28×28 pixels "
            "that are normalised by a mean and a standard deviation"
        )
    factor = STANDARD_DEVIATION / accuracy.std
    offset = (MEAN - accuracy.mean) / accuracy.std
    return float(factor), float(offset)


def after(graph: Graph, factor: float, offset: float) -> Graph:
    """Return the graph of an input that is changed first."""
    nodes = (
        replace(node, inputs=tuple(NORMALISED if source == IMAGE else source for source in node.inputs))
        for node in graph.nodes
    )
    return Graph((Scale(NORMALISED, (IMAGE,), factor, offset), *nodes))


def _measured(model: OwnModel, accuracy: Accuracy) -> str:
    correct = percent(accuracy.accuracy or 0)
    how = "as trained" if accuracy.normalisation_is == "found" else "as given"
    inputs = "" if accuracy.normalisation == INPUT else f", with inputs {accuracy.normalisation} {how}"
    return f"{model.name}: {correct} of the validation images right{inputs}"
