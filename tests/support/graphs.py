"""Random graphs, weights for them, and models of the user's own made from graphs and modules."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import CLASSES, IMAGE, IMAGE_SIDE, Graph
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors

SMOOTH = ("gelu", "gelu_tanh", "silu", "sigmoid", "tanh")
"""Functions without a corner, where rounding cannot change a gradient much."""
MOST_ELEMENTS = 4000
"""Of a value, so that examples are quick."""


@dataclass
class _Sketch:
    """A graph under construction."""

    draw: Any
    channels: int
    functions: tuple[str, ...]
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=lambda: {IMAGE: (1, IMAGE_SIDE, IMAGE_SIDE)})
    tensors: dict[str, Shape] = field(default_factory=dict)

    def add(self, operation: type[Node], inputs: tuple[str, ...], **fields: Any) -> str:
        node = operation(f"{operation.op}{len(self.nodes)}", inputs, **fields)
        self.shapes[node.name] = node.result([self.shapes[source] for source in inputs])
        self.nodes.append(node)
        return node.name

    def tensor(self, part: str, shape: Shape) -> str:
        """A new tensor, or at times one of this shape that another node uses."""
        same = [name for name, other in self.tensors.items() if other == shape and name.endswith(part)]
        if same and self.draw(st.integers(0, 4)) == 0:
            return self.draw(st.sampled_from(same))
        name = f"layer{len(self.nodes)}.{part}"
        self.tensors[name] = shape
        return name

    def bias(self, size: int) -> str | None:
        return self.tensor("bias", (size,)) if self.draw(st.booleans()) else None

    def convolution(self, source: str, channels: int | None = None) -> str:
        draw, (inputs, height, width) = self.draw, self.shapes[source]
        groups = draw(st.sampled_from([g for g in range(1, inputs + 1) if inputs % g == 0]))
        if channels is None:
            channels = groups * draw(st.integers(1, max(1, self.channels // groups)))
        else:
            groups = 1
        kernel, padding, dilation = [], [], []
        for side in (height, width):
            k = draw(st.integers(1, 7))
            d = draw(st.sampled_from([1, 1, 1, 2, 3])) if k > 1 else 1
            reach = d * (k - 1) + 1
            least = max(0, -(-(reach - side) // 2))
            kernel.append(k)
            dilation.append(d)
            padding.append(least + draw(st.sampled_from([0, 0, 1, k // 2])))
        stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)]))
        return self.add(
            op.Convolution,
            (source,),
            channels=channels,
            weight=self.tensor("weight", (channels, inputs // groups, *kernel)),
            bias=self.bias(channels),
            kernel=tuple(kernel),
            stride=stride,
            padding=tuple(padding),
            dilation=tuple(dilation),
            groups=groups,
        )

    def linear(self, source: str, features: int | None = None) -> str:
        features = features or self.draw(st.integers(1, 12))
        weight = self.tensor("weight", (features, *self.shapes[source]))
        return self.add(op.Linear, (source,), features=features, weight=weight, bias=self.bias(features))

    def batch_norm(self, source: str) -> str:
        size, draw = (self.shapes[source][0],), self.draw
        name = f"layer{len(self.nodes)}"
        affine = draw(st.integers(0, 4)) > 0
        return self.add(
            op.BatchNorm,
            (source,),
            weight=self.tensor("weight", size) if affine else None,
            bias=self.tensor("bias", size) if affine else None,
            running_mean=f"{name}.running_mean",
            running_var=f"{name}.running_var",
            momentum=draw(st.sampled_from([0.1, 0.1, 0.01, 0.9, None])),
            eps=draw(st.sampled_from([1e-5, 1e-3])),
        )

    def activation(self, source: str) -> str:
        function = self.draw(st.sampled_from(self.functions))
        if function != "prelu":
            slope = self.draw(st.sampled_from([0.01, 0.2, 1.0]))
            return self.add(op.Activation, (source,), function=function, slope=slope)
        count = self.draw(st.sampled_from([1, self.shapes[source][0]]))
        weight = self.tensor("slopes", (count,))
        return self.add(op.Activation, (source,), function="prelu", weight=weight, weights_count=count)

    def pool(self, source: str) -> str:
        draw, (_, height, width) = self.draw, self.shapes[source]
        kernel = tuple(draw(st.integers(1, min(4, side))) for side in (height, width))
        return self.add(
            op.Pool,
            (source,),
            kind=draw(st.sampled_from(["max", "average"])),
            kernel=kernel,
            stride=draw(st.sampled_from([kernel, kernel, (1, 1), (2, 2), (2, 3)])),
            padding=tuple(draw(st.integers(0, k // 2)) for k in kernel),
            ceil=draw(st.booleans()),
            count_padding=draw(st.booleans()),
        )

    def adaptive_pool(self, source: str) -> str:
        draw, (_, height, width) = self.draw, self.shapes[source]
        size = draw(st.sampled_from([(1, 1), (1, 1), (1, width), (min(3, height), min(2, width)), (5, 4)]))
        return self.add(op.AdaptivePool, (source,), kind=draw(st.sampled_from(["max", "average"])), size=size)

    def dropout(self, source: str) -> str:
        return self.add(
            op.Dropout,
            (source,),
            probability=self.draw(st.sampled_from([0.1, 0.5])),
            channels=self.draw(st.booleans()),
            stream=sum(isinstance(node, op.Dropout) for node in self.nodes),
        )

    def scale(self, source: str) -> str:
        factor, offset = self.draw(st.tuples(st.sampled_from([-0.5, 0.5, 2.0]), st.sampled_from([0.0, 0.3])))
        return self.add(op.Scale, (source,), factor=factor, offset=offset)

    def combined(self, source: str) -> str:
        """A sum or product with a value of the same shape, or with a gate made for it."""
        draw, shape = self.draw, self.shapes[source]
        others = [name for name, other in self.shapes.items() if other == shape]
        gates = [n for n, other in self.shapes.items() if len(shape) == 3 and other == (shape[0], 1, 1)]
        inputs = [source, draw(st.sampled_from(others + gates))]
        if draw(st.integers(0, 5)) == 0:
            inputs.append(draw(st.sampled_from(others)))
        if draw(st.booleans()):
            inputs.reverse()
        return self.add(draw(st.sampled_from([op.Add, op.Multiply])), tuple(inputs))

    def concatenate(self, source: str) -> str:
        shape = self.shapes[source]
        others = [
            name for name, other in self.shapes.items() if other[1:] == shape[1:] and len(other) == len(shape)
        ]
        count = self.draw(st.integers(2, 3))
        return self.add(
            op.Concatenate, (source, *(self.draw(st.sampled_from(others)) for _ in range(count - 1)))
        )

    def reshape(self, source: str) -> str:
        shape = self.shapes[source]
        size = math.prod(shape)
        targets: list[Shape] = [(size,), (size, 1, 1)]
        targets += [(size // 4, 2, 2)] if size % 4 == 0 else []
        targets += [(shape[0], 1, size // shape[0])]
        return self.add(op.Reshape, (source,), shape=self.draw(st.sampled_from(targets)))


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    most_nodes: int = 9,
    most_channels: int = 5,
    dropout: bool = True,
    functions: tuple[str, ...] = op.FUNCTIONS,
) -> Graph:
    """Any graph of a few small nodes: every operation and setting, branches, shared tensors."""
    sketch = _Sketch(draw, most_channels, functions)
    at = IMAGE
    for _ in range(draw(st.integers(0, most_nodes))):
        source = draw(st.sampled_from([at, at, at, *sketch.shapes]))
        shape = sketch.shapes[source]
        rows = [sketch.linear, sketch.linear, sketch.batch_norm, sketch.activation, sketch.activation]
        rows += [sketch.scale, sketch.combined, sketch.concatenate, sketch.reshape]
        maps = [sketch.convolution, sketch.convolution, sketch.convolution, sketch.batch_norm, sketch.pool]
        maps += [*rows[2:], sketch.pool, sketch.adaptive_pool]
        made = draw(st.sampled_from((maps if len(shape) == 3 else rows) + [sketch.dropout] * dropout))(source)
        if math.prod(sketch.shapes[made]) > MOST_ELEMENTS:
            sketch.nodes.pop()
            del sketch.shapes[made]
        else:
            at = made
    shape = sketch.shapes[at]
    if len(shape) == 3 and draw(st.booleans()):
        at = sketch.convolution(at, CLASSES)
        at = sketch.add(op.AdaptivePool, (at,), kind=draw(st.sampled_from(["average", "max"])))
        at = sketch.add(op.Reshape, (at,), shape=(CLASSES,))
    else:
        at = at if len(shape) == 1 else sketch.add(op.Reshape, (at,), shape=(math.prod(shape),))
        at = sketch.linear(at, CLASSES)
    if end := draw(st.sampled_from([None, op.LogSoftmax, op.Softmax])):
        sketch.add(end, (at,))
    return Graph(_needed(sketch.nodes))


def _needed(nodes: list[Node]) -> tuple[Node, ...]:
    """Leave out what the last node does not depend on, and number the dropout anew."""
    needed = {nodes[-1].name}
    for node in reversed(nodes):
        if node.name in needed:
            needed |= set(node.inputs)
    return tuple(node for node in nodes if node.name in needed)


def graph_weights(graph: Graph, seed: int) -> Tensors:
    """Weights of a size that keeps values near one, statistics off zero and one."""
    generator = np.random.default_rng(seed)
    tensors: Tensors = {}
    for name, shape in graph.tensors().items():
        if name.endswith("running_var"):
            value = generator.uniform(0.5, 1.5, shape)
        elif name.endswith("slopes"):
            value = generator.uniform(0.1, 0.4, shape)
        elif len(shape) > 1:
            value = generator.normal(0, 1.4 / math.sqrt(math.prod(shape[1:])), shape)
        elif name.endswith("weight"):
            value = generator.uniform(0.5, 1.5, shape) * generator.choice([-1, 1], shape)
        else:
            value = generator.uniform(-0.5, 0.5, shape)
        tensors[name] = value.astype(np.float32)
    return tensors


def own_model(graph: Graph | None, module: nn.Module | None = None, layout: str = "maps") -> OwnModel:
    """A model of the user's with this graph, and with the tensors of the module that it was made from."""
    if module is None:
        assert graph is not None
        shapes, trained = graph.tensors(), frozenset(graph.trained())
    else:
        weights = module_weights(module)
        shapes = {name: value.shape for name, value in weights.items()}
        trained = frozenset(dict(module.named_parameters()))
    return OwnModel(
        name="Net" if module is None else type(module).__name__,
        target="net.py:Net",
        sha256="",
        arguments=(),
        tensor_shapes=tuple(shapes.items()),
        trained_names=trained,
        macs=0,
        receptive_field=0,
        graph=graph,
        why="" if graph else "Net.forward uses torch.fft.fft2",
        layout=layout,
    )


def module_weights(module: nn.Module) -> Tensors:
    """A module's floating-point tensors, each under its first name."""
    first: dict[int, str] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if tensor.is_floating_point():
            first.setdefault(id(tensor), name)
    state = module.state_dict()
    return {name: state[name].to(torch.float32).numpy().copy() for name in first.values()}


def own_recipe(model: OwnModel, **changes: Any) -> Recipe:
    """A recipe that trains a model as the assignment does, with changes."""
    return MINIMAL.with_changes(architecture=model, **changes)
