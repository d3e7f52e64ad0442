"""The layers of a graph: shape, parameters, arithmetic and receptive field of each.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from under20k.recipe.graph.graph import IMAGE, IMAGE_SIDE, Graph
from under20k.recipe.graph.node import Node, Pair, Shape
from under20k.recipe.graph.operations import (
    Activation,
    AdaptivePool,
    Convolution,
    Dropout,
    Linear,
    Pool,
    Reshape,
)

KINDS = {
    "conv": "Conv2d",
    "linear": "Linear",
    "add": "Add",
    "multiply": "Multiply",
    "concatenate": "Concat",
    "scale": "Scale",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "leaky_relu": "LeakyReLU",
    "prelu": "PReLU",
    "gelu": "GELU",
    "gelu_tanh": "GELU",
    "silu": "SiLU",
    "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "elu": "ELU",
    "rsqrt": "Rsqrt",
    "max": "Max",
    "average": "Avg",
}
"""PyTorch's names of operations, functions and kinds of pooling."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer and its counts for a single image.

    ``receptive_field`` and ``jump`` are in input pixels: the side of the square of input pixels that one
    output element depends on, and the distance between the squares of neighbouring elements.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: int
    jump: int

    @property
    def activation_bytes(self) -> int:
        """Return the size of the output for one image, in bytes of float32."""
        return 4 * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class _View:
    """What an element of a value sees of the image, along rows and columns."""

    field: Pair = (1, 1)
    jump: Pair = (1, 1)
    sides: Pair = (IMAGE_SIDE, IMAGE_SIDE)
    """Of the map; of features, those of the map that they were."""

    def through(self, window: Pair, stride: Pair, shape: Shape) -> _View:
        """Return the view of a value of ``shape`` whose elements see ``window`` elements of this one."""
        field = tuple(f + (w - 1) * j for f, w, j in zip(self.field, window, self.jump, strict=True))
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        return _View(_pair(field), _pair(jump), _pair(shape[1:]) if len(shape) == 3 else (1, 1))


def layers(graph: Graph) -> Iterator[Layer]:
    """Yield every layer in the order of computation; those that only reshape are left out."""
    views = {IMAGE: _View()}
    shapes, counted = graph.shapes(), set[str]()
    for node in graph.nodes:
        taken = [shapes[source] for source in node.inputs]
        before, shape = _seen([views[source] for source in node.inputs]), shapes[node.name]
        if isinstance(node, Linear):
            views[node.name] = before.through(before.sides, (1, 1), shape)
        elif isinstance(node, Reshape) and len(shape) == 1:
            views[node.name] = before  # a linear layer sees the whole map
        else:
            views[node.name] = before.through(*node.window(taken), shape)
        weights = node.weights(taken)
        own = {name: size for name, size in weights.items() if name not in counted}
        counted |= own.keys()
        if not isinstance(node, Reshape):
            yield Layer(
                node.name,
                _kind(node, shape, shared=bool(weights) and next(iter(weights)) not in own),
                shape,
                sum(math.prod(size) for size in own.values()),
                node.macs(taken),
                min(views[node.name].field),
                min(views[node.name].jump),
            )


def _kind(node: Node, shape: Shape, *, shared: bool) -> str:
    """Return PyTorch's name of a node's layer; ``shared`` if another one owns its weights."""
    rank = f"{max(1, len(shape) - 1)}d"
    match node:
        case Activation():
            return KINDS[node.function]
        case Pool():
            return f"{KINDS[node.kind]}Pool2d"
        case AdaptivePool():
            return f"Adaptive{KINDS[node.kind]}Pool2d"
        case Convolution() if node.weight_shape is not None:
            return "Scale"
        case Dropout():
            return "Dropout2d" if node.channels else "Dropout"
    name = f"BatchNorm{rank}" if node.op == "batch_norm" else KINDS[node.op]
    return f"Shared{name}" if shared else name


def _seen(views: list[_View]) -> _View:
    """Return what an element sees that is made of one of each of several values."""
    fields, jumps, sides = ([getattr(view, name) for view in views] for name in ("field", "jump", "sides"))
    return _View(_largest(fields), _largest(jumps), _largest(sides))


def _largest(pairs: list[Pair]) -> Pair:
    return _pair(tuple(max(along) for along in zip(*pairs, strict=True)))


def _pair(values: tuple[int, ...]) -> Pair:
    rows, columns = values
    return rows, columns
