"""Initial weights, the same for every engine, and the check that weights fit an architecture."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from under20k.errors import UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.own_model import OwnModel
from under20k.recipe.seeds import check_seed

Tensors = dict[str, NDArray[np.float32]]


def initial_weights(architecture: Architecture | OwnModel, seed: int) -> Tensors:
    """Draw weights from PyTorch's default distribution, float32 under PyTorch's names.

    Convolutions: weight and bias uniform within ± 1/√(fan-in), as in ``nn.Conv2d`` (Kaiming uniform with
    a = √5). BatchNorm: weight 1, bias 0, running mean 0, running variance 1. The random stream is that of the
    seed's epoch 0; the plans of training draw from epochs 1 onwards.

    Raises UserError for a model of the user's: its own constructor makes them.
    """
    if isinstance(architecture, OwnModel):
        raise UserError(f"the initial weights of {architecture} are made by its constructor, and are missing")
    generator = np.random.default_rng(np.random.SeedSequence([check_seed(seed), 0]))
    tensors: Tensors = {}
    bound = 0.0
    for name, shape in architecture.tensors().items():
        owner, _, part = name.rpartition(".")
        if owner.endswith("batch_norm"):
            value = 1.0 if part in ("weight", "running_var") else 0.0
            tensors[name] = np.full(shape, value, np.float32)
        else:
            if part == "weight":  # comes before its bias, and before the biases of blocks that share it
                bound = 1 / math.sqrt(math.prod(shape[1:]))
            tensors[name] = generator.uniform(-bound, bound, shape).astype(np.float32)
    return tensors


def check_weights(architecture: Architecture | OwnModel, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Raise UserError unless ``tensors`` are exactly the architecture's weights, float32 and finite."""
    check_tensors(architecture.tensors(), tensors, f"the weights do not fit the architecture {architecture}")


def check_tensors(
    expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, NDArray[np.generic]], misfit: str
) -> None:
    """Check names, shapes and values of tensors: float32, finite, running variances not negative.

    Args:
        expected: name and shape of every tensor.
        tensors: the tensors to check.
        misfit: the beginning of the error's message.

    Raises:
        UserError: at the first tensor that does not fit.
    """
    for name in sorted(expected.keys() ^ tensors.keys()):
        raise UserError(f"{misfit}: {name} is {'missing' if name in expected else 'unknown'}")
    for name, shape in expected.items():
        array = tensors[name]
        if array.shape != shape or array.dtype != np.float32:
            raise UserError(f"{misfit}: {name} is {array.dtype} {array.shape}, not float32 {shape}")
        if not np.isfinite(array).all():
            raise UserError(f"{misfit}: {name} contains values that are not finite")
        if name.endswith("running_var") and np.less(array, 0).any():
            raise UserError(f"{misfit}: {name} contains negative variances")
