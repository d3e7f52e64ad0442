"""Graphs that are chains of plain blocks and a head, which the C++ engine trains by its fastest path.

So are architectures without groups, strides, large kernels and sums, and models of the user's of that form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from under20k.engine.isa import _native
from under20k.engine.native_layout import ParameterLayout
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import CLASSES, IMAGE, Graph
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.plan import dropout_threshold

AnyNode = TypeVar("AnyNode", bound=Node)


@dataclass(frozen=True)
class Chain:
    """The layers of a chain, the head last."""

    layers: list[_native.Layer]
    pool_first: bool
    """Whether the head averages its maps before its convolution."""


def chain(graph: Graph, layout: ParameterLayout) -> Chain | None:
    """Return a graph as a chain of convolution blocks and a head, or None where it is none.

    Args:
        graph: any graph.
        layout: of its tensors.
    """
    nodes = [node for node in graph.nodes if not isinstance(node, op.LogSoftmax)]
    sources = [IMAGE, *(node.name for node in nodes)]
    linked = all(node.inputs == (source,) for node, source in zip(nodes, sources, strict=False))
    if not linked or _shares_apart(graph):
        return None
    walk = _Walk(nodes, graph.shapes(), layout)
    try:
        return Chain([*walk.blocks(), walk.head()], walk.pool_first)
    except _NoChainError:
        return None


def _shares_apart(graph: Graph) -> bool:
    """Return whether layers share a tensor otherwise than convolutions in a row share their weights."""
    kernels = [node.weight for node in graph.nodes if isinstance(node, op.Convolution)]
    owners = [name for name, before in zip(kernels, [None, *kernels], strict=False) if name != before]
    others = [
        name
        for node, shapes in graph.inputs()
        for name in node.weights(shapes)
        if not (isinstance(node, op.Convolution) and name == node.weight)
    ]
    return len({*owners, *others}) < len(owners) + len(others)


class _NoChainError(Exception):
    """The graph has another form."""


class _Walk:
    """Follow the nodes of a graph from the image on."""

    def __init__(self, nodes: list[Node], shapes: dict[str, Shape], layout: ParameterLayout) -> None:
        self.left = nodes
        self.shapes = shapes
        self.layout = layout
        self.pool_first = False

    def take(self, kind: type[AnyNode]) -> AnyNode | None:
        """Return the next node if it is of a kind, and go on."""
        if self.left and isinstance(node := self.left[0], kind):
            self.left = self.left[1:]
            return node
        return None

    def blocks(self) -> Iterator[_native.Layer]:
        """Yield all layers before the head, at least one."""
        while True:
            yield self.block()
            if self.at_head():
                return

    def at_head(self) -> bool:
        """Return whether the head follows: a convolution without an activation, or an average."""
        if self.left and self.averages(self.left[0]):
            return True
        return len(self.left) >= 2 and not isinstance(self.left[1], op.BatchNorm | op.Activation)

    def averages(self, node: Node) -> bool:
        """Return whether a node is the average over its whole maps."""
        sides = self.shapes[node.inputs[0]][1:]
        match node:
            case op.AdaptivePool():
                return node.kind == "average" and node.size == (1, 1)
            case op.Pool():
                return node.kind == "average" and node.kernel == sides and node.padding == (0, 0)
        return False

    def block(self) -> _native.Layer:
        conv = self.convolution()
        norm, relu = self.take(op.BatchNorm), self.take(op.Activation)
        if not relu or relu.function != "relu":
            raise _NoChainError
        pool = self.take(op.Pool) if self.left and not self.averages(self.left[0]) else None
        dropout = self.take(op.Dropout)
        two = ("max", (2, 2), (2, 2), (0, 0), False)
        if pool and (pool.kind, pool.kernel, pool.stride, pool.padding, pool.ceil) != two:
            raise _NoChainError
        if dropout and dropout.channels:
            raise _NoChainError
        return self.layer(conv, norm, pool is not None, dropout)

    def convolution(self) -> op.Convolution:
        conv = self.take(op.Convolution)
        if not conv or conv.groups != 1 or (conv.stride, conv.dilation) != ((1, 1), (1, 1)):
            raise _NoChainError
        windows = {((1, 1), (0, 0)), ((3, 3), (0, 0)), ((3, 3), (1, 1))}
        if (conv.kernel, conv.padding) not in windows:
            raise _NoChainError
        return conv

    def head(self) -> _native.Layer:
        self.pool_first = self.averages(self.left[0])
        if self.pool_first:
            self.left = self.left[1:]
            flat = self.take(op.Reshape)
            last = self.take(op.Linear) if flat else self.convolution()
            if isinstance(last, op.Convolution) and last.kernel != (1, 1):
                raise _NoChainError
        else:
            last, flat = self.convolution(), None
            if self.left and self.averages(self.left[0]):
                self.left = self.left[1:]
            elif self.shapes[last.name] != (CLASSES, 1, 1):
                raise _NoChainError
        if not last or (not flat and not self.take(op.Reshape)) or self.left:
            raise _NoChainError
        return self.layer(last, None, False, None)

    def layer(
        self,
        conv: op.Convolution | op.Linear,
        norm: op.BatchNorm | None,
        pool: bool,
        dropout: op.Dropout | None,
    ) -> _native.Layer:
        """Describe a layer.

        Args:
            conv: its convolution, or the linear layer that is one of 1×1.
            norm: its BatchNorm.
            pool: whether it ends in 2×2 max pooling.
            dropout: its dropout.
        """
        if norm and (not norm.weight or not norm.bias or norm.momentum is None):
            raise _NoChainError
        start = self.layout.start
        tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var) if norm else (None,) * 4
        scale, shift, mean, variance = (start[name] if name else -1 for name in tensors)
        kernel, padding = (1, 0) if isinstance(conv, op.Linear) else (conv.kernel[0], conv.padding[0])
        probability = dropout.probability if dropout else 0.0
        if probability == 1:
            raise _NoChainError
        return _native.Layer(
            channels=self.shapes[conv.name][0],
            kernel=kernel,
            padding=padding,
            pool=pool,
            dropout=probability,
            dropout_threshold=dropout_threshold(probability),
            dropout_stream=dropout.stream if dropout else 0,
            weight=start[conv.weight],
            bias=start[conv.bias] if conv.bias else -1,
            scale=scale,
            shift=shift,
            running_mean=mean,
            running_variance=variance,
            momentum=norm.momentum if norm and norm.momentum is not None else 0.1,
            epsilon=norm.eps if norm else 1e-5,
        )
