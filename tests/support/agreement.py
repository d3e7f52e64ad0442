"""One step on both engines, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tests.support.strategies import teachers_of
from under20k.data.mnist import Split
from under20k.engine.base import EpochResult
from under20k.engine.native_engine import NativeEngine
from under20k.engine.torch_engine import TorchEngine
from under20k.recipe.architecture import Architecture
from under20k.recipe.plan import EpochPlan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors, initial_weights


@dataclass
class Trained:
    """What an epoch gave, and what it left."""

    result: EpochResult
    state: Tensors
    logits: NDArray[np.float32]


def uneven_weights(architecture: Architecture, seed: int) -> Tensors:
    """Initial weights, but with BatchNorm's scales of both signs and its shifts and statistics off zero."""
    generator = np.random.default_rng(seed)
    weights = initial_weights(architecture, seed)
    for name, value in weights.items():
        if name.endswith("batch_norm.weight"):
            value[:] = generator.uniform(0.5, 1.5, value.shape) * generator.choice([-1, 1], value.shape)
        elif name.endswith(("batch_norm.bias", "running_mean")):
            value[:] = generator.uniform(-0.5, 0.5, value.shape)
        elif name.endswith("running_var"):
            value[:] = generator.uniform(0.5, 1.5, value.shape)
    return weights


def train_native(recipe: Recipe, weights: Tensors, plan: EpochPlan, data: Split, threads: int = 2) -> Trained:
    engine = NativeEngine(recipe, weights, threads)
    engine.learn_from(teachers_of(recipe))
    result = engine.train_epoch(data.images, data.labels, plan, lambda done: None)
    return Trained(result, engine.state(), engine.logits(data.images[:33]))


def train_reference(
    recipe: Recipe, weights: Tensors, plan: EpochPlan, data: Split, dtype: torch.dtype = torch.float64
) -> Trained:
    """The torch engine, in float64 if not told otherwise."""
    engine = TorchEngine(recipe, weights, dtype=dtype)
    engine.learn_from(teachers_of(recipe))
    result = engine.train_epoch(data.images, data.labels, plan, lambda done: None)
    return Trained(result, engine.state(), engine.logits(data.images[:33]))


def distances(state: Tensors, reference: Tensors) -> dict[str, float]:
    """The largest deviation in each tensor, relative to the tensor's largest value.

    But not to less than a hundredth of the largest of all tensors of its kind: BatchNorm makes the gradients
    before it cancel, that of a single weight all but entirely, and then only roundings are left to compare.
    """
    assert state.keys() == reference.keys()
    largest: dict[str, float] = {}
    for name, value in reference.items():
        largest[kind(name)] = max(largest.get(kind(name), 0.0), float(np.abs(value).max()))
    return {
        name: float(np.abs(state[name] - value).max())
        / max(float(np.abs(value).max()), largest[kind(name)] / 100, 1e-30)
        for name, value in reference.items()
    }


def kind(name: str) -> str:
    """Weights, their momentum or their average."""
    start = name.partition(".")[0]
    return start if start in ("momentum", "average") else "weights"
