"""A trained network as steps of inference: BatchNorm folded into what comes before it, dropout gone.

They end in the logits: a softmax or log-softmax of the model's own belongs to whoever computes probabilities.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.graph.operations import (
    Activation,
    BatchNorm,
    Convolution,
    Dropout,
    Linear,
    LogSoftmax,
    Softmax,
)
from under20k.recipe.weights import Tensors

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """An operation with its numbers."""

    node: Node
    """What is computed. A BatchNorm stands where none could be folded, as ``factor * x + offset``."""
    inputs: tuple[str, ...]
    """Names of the steps, or the image, that it takes: those of the node, without dropout."""
    input_shapes: tuple[Shape, ...]
    shape: Shape
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """``weight`` and ``bias`` of convolutions and linear layers; ``factor`` and ``offset`` of a BatchNorm, by
    channel or feature; ``slopes`` of a prelu, one or by channel."""

    @property
    def name(self) -> str:
        """Return the name of the result."""
        return self.node.name


def inference_steps(graph: Graph, weights: Tensors) -> list[Step]:
    """Return the steps of evaluation; the last one gives the logits. Shared weights are repeated."""
    tensors = {name: value.astype(np.float64) for name, value in weights.items()}
    takers = Counter(source for node in graph.nodes for source in node.inputs)
    steps: dict[str, Step] = {}
    same = {IMAGE: IMAGE}  # names by those of the values that they equal
    for step in _steps(graph, tensors):
        step = replace(step, inputs=tuple(same[source] for source in step.inputs))
        before = steps.get(step.inputs[0])
        same[step.name] = step.name
        if isinstance(step.node, Dropout | Softmax | LogSoftmax):
            same[step.name] = step.inputs[0]
        elif isinstance(step.node, BatchNorm) and before and _takes_scale(before, takers):
            steps[before.name] = _scaled(before, step)
            same[step.name] = before.name
        else:
            steps[step.name] = step
    return list(steps.values())


def _steps(graph: Graph, tensors: Mapping[str, Array]) -> Iterator[Step]:
    """Yield every node with its numbers."""
    shapes = graph.shapes()
    for node, taken in graph.inputs():
        arrays = dict(_arrays(node, tensors, shapes[node.name][0]))
        if isinstance(node, Convolution):
            arrays["weight"] = arrays["weight"].reshape(node.kernel_shape(taken[0][0]))
        yield Step(node, node.inputs, tuple(taken), shapes[node.name], arrays)


def _arrays(node: Node, tensors: Mapping[str, Array], channels: int) -> Iterator[tuple[str, Array]]:
    if isinstance(node, Convolution | Linear):
        yield "weight", tensors[node.weight]
        yield "bias", tensors[node.bias] if node.bias else np.zeros(channels)
    elif isinstance(node, BatchNorm):
        factor = tensors[node.weight] if node.weight else np.ones(channels)
        factor = factor / np.sqrt(tensors[node.running_var] + node.eps)
        shift = tensors[node.bias] if node.bias else np.zeros(channels)
        yield "factor", factor
        yield "offset", shift - tensors[node.running_mean] * factor
    elif isinstance(node, Activation) and node.weight:
        yield "slopes", tensors[node.weight]


def _takes_scale(step: Step, takers: Counter[str]) -> bool:
    """Return whether a step's weights can take a scale, and nothing else sees its result."""
    return isinstance(step.node, Convolution | Linear) and takers[step.name] == 1


def _scaled(step: Step, norm: Step) -> Step:
    factor, offset = norm.arrays["factor"], norm.arrays["offset"]
    weight = step.arrays["weight"]
    weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return replace(step, arrays={"weight": weight, "bias": step.arrays["bias"] * factor + offset})
