"""Models to export: a trained one, and any architecture with weights that no training gave."""

from __future__ import annotations

import numpy as np

from under20k.deploy.model import Model
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL
from under20k.recipe.weights import Tensors, initial_weights

ARCHITECTURES = [
    "8,12p,14,16p,20v,24v|3v",
    "8,14pd0.05,16,20pd0.05,24v,28v|3v",
    "8vp,16,16p,32v,32v|l",
    "13u,13u,13sup,13su,16k1np,13vn|3",
]
"""The named recipes' two; a head that pools first; shared weights, 1×1 kernels, no bias or BatchNorm."""
LARGE_KERNELS = ["6k5p,12k5,12k7p,20|3v", "4k7vp,6k5v,8k5v|5"]
"""Chains that only the engine takes for none."""
GRAPHS = ["16k5/2,16g,16k1r2,20/2g4,20rd0.05|7v", "8k7/2vp,8n,8snr,8gur3,12/2p|l"]
"""Groups, strides and sums, over one block and over several; a depthwise block; a sum without BatchNorm."""


def used_weights(architecture: Architecture) -> Tensors:
    """Return weights whose BatchNorms have seen something."""
    generator = np.random.default_rng(3)
    weights = initial_weights(architecture, 0)
    for name, value in weights.items():
        if ".batch_norm." in name:
            weights[name] = generator.uniform(0.5, 1.5, value.shape).astype(np.float32)
    return weights


def model_of(text: str, temperature: float = 1.0) -> Model:
    recipe = MINIMAL.with_changes(architecture=text)
    return Model("untrained", recipe, used_weights(recipe.architecture), temperature)
