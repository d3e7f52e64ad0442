"""A chain of convolutions for inference: BatchNorm folded into them, dropout gone.

Shapes: O and I output and input channels, K a kernel's side, C channels, H rows and W columns of a map.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from under20k.deploy.export.inference import Step, inference_steps
from under20k.recipe.architecture import CLASSES
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Shape
from under20k.recipe.graph.operations import Reshape
from under20k.recipe.weights import Tensors


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


def folded(graph: Graph, weights: Tensors) -> FoldedNetwork | None:
    """Return a network for inference; None if it is no chain of such convolutions.

    Weights that blocks share are repeated. A linear layer after global average pooling is a 1×1 convolution.
    """
    return as_chain(inference_steps(graph, weights))


def as_chain(steps: Sequence[Step]) -> FoldedNetwork | None:
    """Return steps as a chain of convolutions; None if they are none."""
    taken = [IMAGE, *(step.name for step in steps)]
    if any(step.inputs != (before,) for step, before in zip(steps, taken, strict=False)):
        return None
    left = deque(step for step in steps if not _changes_nothing(step))
    blocks = []
    while (conv := _convolution(left)) is not None:
        blocks.append(conv)
    pool_first = bool(blocks) and blocks[-1].relu
    if len(left) != 1 + pool_first or not _averages_all(left[0]):
        return None
    if pool_first:
        left.popleft()
        head = _pointwise(left[0])
        if head is None:
            return None
        blocks.append(head)
    return FoldedNetwork(tuple(blocks), pool_first) if all(conv.relu for conv in blocks[:-1]) else None


def _convolution(left: deque[Step]) -> Convolution | None:
    """Take a convolution with the ReLU and the pooling after it; None, taking nothing, if none begins."""
    step = left[0] if left else None
    if step is None or not _is_square(step):
        return None
    node = left.popleft().node
    assert isinstance(node, op.Convolution)
    relu = pool = False
    shape = step.shape
    while left and ((_is_relu(left[0]) and not relu) or (_is_pool(left[0]) and not pool)):
        relu, pool = relu or _is_relu(left[0]), pool or _is_pool(left[0])
        shape = left.popleft().shape
    return Convolution(
        step.name,
        step.arrays["weight"],
        step.arrays["bias"],
        node.padding[0],
        relu,
        pool,
        _map(step.input_shapes[0]),
        _map(shape),
    )


def _pointwise(step: Step) -> Convolution | None:
    """Return a layer on averages as a 1×1 convolution; None if it is none."""
    if not isinstance(step.node, op.Linear | op.Convolution):
        return None
    weight = step.arrays["weight"]
    weight = weight.reshape(*weight.shape[:2], 1, 1) if weight.size == math.prod(weight.shape[:2]) else weight
    inputs = (math.prod(step.input_shapes[0]), 1, 1)
    if weight.shape != (CLASSES, inputs[0], 1, 1):
        return None
    return Convolution(step.name, weight, step.arrays["bias"], 0, False, False, inputs, (CLASSES, 1, 1))


def _changes_nothing(step: Step) -> bool:
    """Return whether a step makes features of a map of one position."""
    return isinstance(step.node, Reshape) and step.input_shapes[0][1:] == (1, 1) and len(step.shape) == 1


def _is_square(step: Step) -> bool:
    node = step.node
    return (
        isinstance(node, op.Convolution)
        and step.input_shapes[0][1] == step.input_shapes[0][2] > 1
        and node.kernel[0] == node.kernel[1]
        and node.padding[0] == node.padding[1]
        and (node.stride, node.dilation, node.groups) == ((1, 1), (1, 1), 1)
    )


def _is_relu(step: Step) -> bool:
    return isinstance(step.node, op.Activation) and step.node.function == "relu"


def _is_pool(step: Step) -> bool:
    node = step.node
    return isinstance(node, op.Pool) and (node.kind, node.kernel, node.stride, node.padding, node.ceil) == (
        *("max", (2, 2), (2, 2), (0, 0), False),
    )


def _averages_all(step: Step) -> bool:
    node = step.node
    if isinstance(node, op.AdaptivePool):
        return node.kind == "average" and node.size == (1, 1)
    if not isinstance(node, op.Pool):
        return False
    return (node.kind, node.kernel, node.padding) == ("average", step.input_shapes[0][1:], (0, 0))


def _map(shape: Shape) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width
