"""A PyTorch model of the user's with weights that the user trained: what ``predict`` and ``export`` take.

Its code runs in the process that ``check`` judges models in, and its weights file is read without unpickling
anything but tensors. Under which normalisation of the pixels the weights were trained is found as ``check
--accuracy`` finds it; the graph begins with what makes it of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from under20k.checking.judgement import Accuracy
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.sandbox import Sandbox, judge_apart
from under20k.checking.source.target import parse
from under20k.checking.training.load import TIME_LIMIT_S, Loaded, load_model, own_recipe
from under20k.data import load as load_mnist
from under20k.deploy.model import Model
from under20k.deploy.origin import Origin
from under20k.engine.base import INPUT, MEAN, STANDARD_DEVIATION, Compute
from under20k.errors import UserError
from under20k.formatting import percent
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.operations import Scale
from under20k.recipe.own_model import OwnModel
from under20k.recipe.weights import Tensors

NORMALISED = "normalised as trained"
"""Name of the node that makes the input that the model was trained with."""


@dataclass(frozen=True)
class Trained:
    """A model with the user's weights, and remarks for the user."""

    model: Model
    notes: tuple[str, ...]


def load_trained(
    target: str,
    weights: Path,
    arguments: Mapping[str, object] | None = None,
    *,
    compute: Compute = Compute(),
) -> Trained:
    """Run a model's code in a process of its own, and return the model with trained weights.

    Args:
        target: ``file.py:Name``, ``package.module:Name`` or a notebook.
        weights: a file of safetensors, PyTorch or NumPy (``.npz``).
        arguments: of the constructor.
        compute: engine and threads of the model.

    Raises:
        UserError: there is no such model, its weights are not its own, it has no graph, or no normalisation
            fits.
    """
    if not weights.is_file():
        raise UserError(f"--weights: {weights} is not a file")
    loaded = load_model(target, [0], arguments)
    own = loaded.model
    if own.graph is None:
        raise UserError(f"{target}: {own.why}, so only PyTorch can compute it, and it cannot leave it")
    tensors = _tensors(weights, own)
    accuracy = _accuracy(target, weights, arguments)
    factor, offset = _change(accuracy)
    if (factor, offset) != (1, 0):
        own = replace(own, graph=_after(own.graph, factor, offset))
    origin = Origin("weights", 0, accuracy.accuracy)
    model = Model(own.name, own_recipe(own), tensors, compute=compute, origin=origin)
    return Trained(model, tuple(_notes(loaded, accuracy)))


def _tensors(path: Path, own: OwnModel) -> Tensors:
    """Return the model's tensors in a weights file, as float32. Raises UserError if it has others."""
    import torch

    from under20k.checking.weights.weights_file import WeightsError, load_weights, match

    class Named(torch.nn.Module):
        """Tensors under the model's names, without the model."""

        def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
            shapes = own.tensors()
            shapes |= {name: shapes[first] for name, first in own.aliases if first in shapes}
            return {name: torch.empty(shape) for name, shape in shapes.items()}

    try:
        found = match(load_weights(path), Named())
    except WeightsError as error:
        raise UserError(f"{path}: {error}") from error
    tensors = {name: found[name].detach().to(torch.float32).numpy() for name in own.tensors()}
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise UserError(f"{path}: {name} holds a value that is not finite; train again")
    return tensors


def _accuracy(target: str, weights: Path, arguments: Mapping[str, object] | None) -> Accuracy:
    """Return what ``check --accuracy`` measures. Raises UserError if it measures nothing."""
    load_mnist()  # the model's process has no network
    limits: dict[str, Any] = {"arguments": dict(arguments or {}), "weights": weights.absolute()}
    judgement = judge_apart(parse(target), Sandbox(load_profile("brief"), TIME_LIMIT_S, **limits))
    accuracy = judgement.accuracy
    if accuracy is None or accuracy.warning is not None:
        why = accuracy.warning if accuracy else judgement.weights_error or judgement.reason
        raise UserError(f"{target}: {why}")
    return accuracy


def _change(accuracy: Accuracy) -> tuple[float, float]:
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


def _after(graph: Graph, factor: float, offset: float) -> Graph:
    """Return the graph of an input that is changed first."""
    nodes = (
        replace(node, inputs=tuple(NORMALISED if source == IMAGE else source for source in node.inputs))
        for node in graph.nodes
    )
    return Graph((Scale(NORMALISED, (IMAGE,), factor, offset), *nodes))


def _notes(loaded: Loaded, accuracy: Accuracy) -> list[str]:
    correct = percent(accuracy.accuracy or 0)
    inputs = "" if accuracy.normalisation == INPUT else f", with inputs {accuracy.normalisation} as trained"
    return [*loaded.notes, f"{loaded.model.name}: {correct} of the validation images right{inputs}"]
