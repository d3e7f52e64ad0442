"""A trained network for inference: BatchNorm folded into the convolutions, dropout gone.

Shapes: O and I output and input channels, K a kernel's side, C channels, H rows and W columns of a map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.architecture import CLASSES, IMAGE_SIDE, Architecture
from under20k.recipe.weights import Tensors

EPSILON = 1e-5
"""What BatchNorm adds to the variance."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with a bias and, in this order, a ReLU and 2×2 max pooling if it has them."""

    name: str
    """Of the layer in the PyTorch module: ``blocks.0.conv``."""
    weight: NDArray[np.float64]
    """(O, I, K, K)."""
    bias: NDArray[np.float64]
    """(O,)."""
    padding: int
    relu: bool
    pool: bool
    input_shape: tuple[int, int, int]
    """(C, H, W)."""
    output_shape: tuple[int, int, int]
    """(C, H, W), after pooling."""

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """Return the shape before pooling, (O, H, W)."""
        grown = 2 * self.padding - self.weight.shape[-1] + 1
        _, height, width = self.input_shape
        return len(self.weight), height + grown, width + grown


@dataclass(frozen=True)
class FoldedNetwork:
    """The convolutions in their order; the input is a normalised image, (1, 28, 28).

    The last one makes ten maps, whose averages are the logits; with ``pool_first`` it is 1×1 and takes the
    averages of the maps before it.
    """

    convolutions: tuple[Convolution, ...]
    pool_first: bool


def folded(architecture: Architecture, weights: Tensors) -> FoldedNetwork:
    """Return the network for inference. Weights that blocks share are repeated."""
    return FoldedNetwork(tuple(_convolutions(architecture, weights)), architecture.head.pool_first)


def _convolutions(architecture: Architecture, weights: Tensors) -> Iterator[Convolution]:
    tensors = {name: value.astype(np.float64) for name, value in weights.items()}
    shape = (1, IMAGE_SIDE, IMAGE_SIDE)
    for index, block in enumerate(architecture.blocks):
        name = f"blocks.{index}"
        weight = tensors[architecture.kernel_name(index)]
        bias = tensors.get(f"{name}.conv.bias", np.zeros(block.channels))
        if block.batch_norm:
            scale, shift, mean, variance = (
                tensors[f"{name}.batch_norm.{part}"]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            factor = scale / np.sqrt(variance + EPSILON)
            weight, bias = weight * factor[:, None, None, None], (bias - mean) * factor + shift
        side = shape[1] + 2 * block.padding - block.kernel + 1
        side = side // 2 if block.pool else side
        out = (block.channels, side, side)
        yield Convolution(f"{name}.conv", weight, bias, block.padding, True, block.pool, shape, out)
        shape = out
    head = architecture.head
    shape = (shape[0], 1, 1) if head.pool_first else shape
    side = shape[1] + 2 * head.padding - head.kernel + 1
    yield Convolution(
        "head.conv",
        tensors["head.conv.weight"],
        tensors.get("head.conv.bias", np.zeros(CLASSES)),
        head.padding,
        False,
        False,
        shape,
        (CLASSES, side, side),
    )
