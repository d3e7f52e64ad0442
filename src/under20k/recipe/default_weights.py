"""The initial weights that PyTorch's layers have under ``torch.manual_seed``, drawn without PyTorch.

Records of a user's own model rest on them: whoever verifies one runs none of its code, and has to know that
the training did not begin with trained weights. They are those of a constructor that makes its layers in the
order of its ``state_dict``, and changes nothing afterwards.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.own_model import OwnModel
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import Tensors

MANTISSA_BITS = 24
PRELU = 0.25
STATISTICS = ("running_mean", "running_var")


def default_weights(model: OwnModel, seed: int, *, fused: bool = True) -> Tensors | None:
    """Return the initial weights that PyTorch gives a model's layers; None if it has others than layers.

    As ``nn.Conv2d`` and ``nn.Linear`` do: weights uniform within ± 1/√(fan-in) (Kaiming uniform with a = √5),
    biases too. BatchNorm: weight 1, bias 0, running mean 0, running variance 1. GroupNorm, LayerNorm and
    InstanceNorm: weight 1, bias 0. PReLU: 0.25.

    Args:
        model: whose tensors are wanted.
        seed: of ``torch.manual_seed``.
        fused: whether the numbers are scaled and moved in one operation, as by PyTorch on processors that
            have it; the others round twice.
    """
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in model.tensor_shapes:
        layer, _, tensor = name.rpartition(".")
        layers.setdefault(layer, {})[tensor] = shape
    stream = np.random.RandomState(check_seed(seed))  # the Mersenne Twister, seeded as torch seeds its own
    found: Tensors = {}
    for layer, shapes in layers.items():
        values, prefix = _layer(shapes, stream, fused), f"{layer}." if layer else ""
        trained = {f"{prefix}{name}" for name in shapes if name not in STATISTICS}
        if values is None or not trained <= model.trained_names:
            return None
        found |= {f"{prefix}{name}": value for name, value in values.items()}
    return {name: found[name] for name in model.tensors()}


def _layer(shapes: dict[str, tuple[int, ...]], stream: np.random.RandomState, fused: bool) -> Tensors | None:
    """Return the initial tensors of a layer by their names; None if PyTorch has no such layer."""
    names, weight = shapes.keys(), shapes.get("weight", ())
    is_norm = names == {"weight", "bias"} and 1 <= len(weight) <= 3 and weight == shapes["bias"]
    if is_norm or names in ({"weight", "bias", *STATISTICS}, set(STATISTICS)):
        values = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
        return {name: np.full(shape, values[name], np.float32) for name, shape in shapes.items()}
    if names == {"weight"} and len(weight) == 1:
        return {"weight": np.full(weight, PRELU, np.float32)}
    if not {"weight"} <= names <= {"weight", "bias"} or len(weight) not in (2, 4) or 0 in weight:
        return None
    fan_in = math.prod(weight[1:])
    gain = math.sqrt(2.0 / (1 + math.sqrt(5) ** 2))
    bounds = {"weight": math.sqrt(3.0) * (gain / math.sqrt(fan_in)), "bias": 1 / math.sqrt(fan_in)}
    return {name: _uniform(stream, bounds[name], shape, fused) for name, shape in shapes.items()}


def _uniform(
    stream: np.random.RandomState, bound: float, shape: tuple[int, ...], fused: bool
) -> NDArray[np.float32]:
    """Return what ``tensor.uniform_(-bound, bound)`` draws on a CPU, in float32."""
    bits = stream.randint(0, 2**32, shape, dtype=np.uint32) & np.uint32(2**MANTISSA_BITS - 1)
    x = bits.astype(np.float32) * np.float32(2.0**-MANTISSA_BITS)
    low, span = np.float32(-bound), np.float32(bound) - np.float32(-bound)
    if not fused:
        return np.asarray(x * span + low, np.float32)
    # The product of two float32 is exact in float64, and so, but for the last bit, is the sum.
    return (x.astype(np.float64) * np.float64(span) + np.float64(low)).astype(np.float32)
