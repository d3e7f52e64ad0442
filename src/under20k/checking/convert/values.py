"""The values of a conversion: nodes of the graph under construction, and the shapes that torch sees.

torch reshapes freely; a graph has maps (C, H, W) and rows (F,). A value keeps the shape that its node gives
and the one that torch sees, of the same elements in the same order; a reshape becomes a node only where the
next operation needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from under20k.checking.convert.reasons import NotConvertible
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE
from under20k.recipe.graph.node import Node as GraphNode
from under20k.recipe.graph.node import Pair, Shape


@dataclass(frozen=True)
class Value:
    """A value of one image."""

    name: str
    """Of the node that gives it."""
    given: Shape
    """As the node gives it: (C, H, W) or (F,)."""
    shape: Shape
    """As torch sees it, without N."""
    expanded: Shape | None = None
    """As torch sees it after ``expand``."""
    padding: Pair = (0, 0)
    """Zeros around the map, which only a convolution can take in; not counted in ``given``."""
    softmax: str = ""
    """``softmax`` or ``log_softmax`` of it, which only the end can take."""
    whole: Shape | None = None
    """As torch sees the values of all images, where it does not see one image after the other."""
    across: NotConvertible | None = None
    """The error if anything but a reshape takes it, because of ``whole``."""


class Builder:
    """The nodes so far."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self._names = {IMAGE}
        self._reshaped: dict[tuple[str, Shape], str] = {}

    def add(self, operation: type[GraphNode], wanted: str, inputs: tuple[str, ...], **fields: Any) -> str:
        """Append a node and return its name.

        Args:
            operation: its class.
            wanted: its name, if no other node has it.
            inputs: names of its inputs.
            fields: all else.
        """
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        self.nodes.append(operation(name, inputs, **fields))
        return name

    def shaped(self, value: Value, shape: Shape) -> str:
        """Return the name of the value in a shape of a graph, reshaped if need be."""
        if value.given == shape:
            return value.name
        key = (value.name, shape)
        if key not in self._reshaped:
            self._reshaped[key] = self.add(op.Reshape, f"{value.name}.reshape", (value.name,), shape=shape)
        return self._reshaped[key]


def graph_shape(shape: Shape) -> Shape:
    """Return a shape of a graph for what torch sees: maps and rows stay, (C, L) becomes (C, L, 1)."""
    if len(shape) in (1, 3):
        return shape
    if len(shape) == 2:
        return (*shape, 1)
    if len(shape) > 3:
        return (shape[0], shape[1], math.prod(shape[2:]))
    return (1,)
