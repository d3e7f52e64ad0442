"""Prove the native engine's run of a graph: one step against the torch engine in float64."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from under20k.engine import isa
from under20k.engine.base import EpochResult, Images, Labels
from under20k.engine.native_engine import NativeEngine
from under20k.engine.torch_engine import TorchEngine
from under20k.recipe.graph.graph import Graph
from under20k.recipe.own_model import OwnModel
from under20k.recipe.plan import EpochPlan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors

RATE = 1e-3
LEAST = 0.01
"""Of the largest value of all tensors, to which small ones are compared: where BatchNorm cancels a gradient,
only roundings are left.
"""
ROUNDINGS = 10
"""Times the torch engine's own rounding that are allowed where that is more than the tolerance."""


def native_difference(
    graph: Graph, weights: Tensors, trained: set[str], images: Images, labels: Labels, tolerance: float
) -> str:
    """Return what the native engine computes differently, empty if it is nothing or there is no such engine.

    Args:
        graph: the model's.
        weights: its tensors by name.
        trained: names of those that are trained.
        images: uint8 (N, 28, 28), one batch.
        labels: uint8 (N,).
        tolerance: the largest difference, relative to the largest value of a tensor.
    """
    if isa.unavailable():
        return ""
    recipe = _recipe(graph, trained, len(images))
    exact = _step(TorchEngine(recipe, weights, dtype=torch.float64), images, labels)
    native = _step(NativeEngine(recipe, weights, threads=1), images, labels)
    if not (far := _far(native, exact, {}, tolerance)):
        return ""
    rounded = _step(TorchEngine(recipe, weights), images, labels)
    own = {name: ROUNDINGS * _distance(rounded[name], exact, name) for name in exact}
    if not (far := _far(native, exact, own, tolerance)):
        return ""
    return f"the native engine gives another {_words(far[0])}"


def _recipe(graph: Graph, trained: set[str], batch_size: int) -> Recipe:
    """Return the recipe of a step whose momentum is the gradient."""
    tensors = tuple(graph.tensors().items())
    model = OwnModel("proof", "", "", (), tensors, frozenset(trained), 0, 0, graph)
    return Recipe("proof", model, 1, batch_size, RATE, momentum=0.9, weight_decay=0.0)


def _step(engine: TorchEngine | NativeEngine, images: Images, labels: Labels) -> Tensors:
    """Return loss, gradients and running statistics of a step, and logits at evaluation after it."""
    plan = EpochPlan(
        epoch=1,
        batch_size=len(images),
        order=np.arange(len(images), dtype=np.int32),
        matrices=None,
        grids=None,
        filters=None,
        bilinear=False,
        learning_rates=np.array([RATE]),
        dropout_seed=1,
    )
    result: EpochResult = engine.train_epoch(images, labels, plan, lambda done: None)
    model = engine.recipe.architecture
    state = {name: value for name, value in engine.state().items() if name not in model.trained_names}
    return {"loss": np.array(result.loss, np.float32), **state, "logits": engine.logits(images)}


def _far(found: Tensors, exact: Tensors, allowed: dict[str, float], tolerance: float) -> list[str]:
    limits = {name: max(tolerance, allowed.get(name, 0.0)) for name in exact}
    return [name for name in exact if not _distance(found[name], exact, name) <= limits[name]]


def _distance(value: NDArray[np.float32], exact: Tensors, name: str) -> float:
    """Return the largest difference from the exact tensor of that name, relative to its largest value."""
    alike = [other for other in exact if other.partition(".")[0] == name.partition(".")[0]]
    if not name.startswith("momentum."):
        alike = [name]
    largest = max((float(np.abs(exact[other]).max()) for other in alike if exact[other].size), default=0.0)
    own = float(np.abs(exact[name]).max()) if exact[name].size else 0.0
    size = max(own, LEAST * largest, 1e-30)
    return float(np.abs(value - exact[name]).max()) / size if value.size else 0.0


def _words(name: str) -> str:
    if name.startswith("momentum."):
        return f"gradient of {name.removeprefix('momentum.')}"
    return {"logits": "output at evaluation", "loss": "loss"}.get(name, f"{name} after a step")
