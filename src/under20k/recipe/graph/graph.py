"""A network as a graph: its nodes in order of computation, from an image to ten outputs.

Shapes: C channels, H rows, W columns of one image's values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from under20k.errors import InvalidValue
from under20k.recipe.graph.node import MAX_SIZE, Node, Shape, plain
from under20k.recipe.graph.operations import OPERATIONS, LogSoftmax, Softmax

IMAGE = "image"
"""The name of the input: (1, 28, 28), normalised pixels."""
IMAGE_SIDE = 28  # pixels; MNIST's images are square
CLASSES = 10
MAX_NODES = 1000


@dataclass(frozen=True)
class Graph:
    """Nodes in order of computation; the last one's value is the output, (10,)."""

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        if not 1 <= len(self.nodes) <= MAX_NODES:
            raise InvalidValue(f"nodes: {len(self.nodes)}; expected 1 to {MAX_NODES}")
        if (out := self.shapes()[self.nodes[-1].name]) != (CLASSES,):
            raise InvalidValue(f"{self.nodes[-1].name}: an output of shape {out}; expected ({CLASSES},)")
        self.tensors()  # raises where two nodes use one tensor in different shapes

    def shapes(self) -> dict[str, Shape]:
        """Return the shape of every value by name, the image's included. Raises InvalidValue."""
        shapes: dict[str, Shape] = {IMAGE: (1, IMAGE_SIDE, IMAGE_SIDE)}
        for node in self.nodes:
            if node.name in shapes:
                raise node.refuse("the name of two nodes")
            for source in node.inputs:
                if source not in shapes:
                    raise node.refuse(f"input {source!r}; expected a node before it")
            if not node.inputs:
                raise node.refuse("no inputs")
            if isinstance(node, Softmax | LogSoftmax) and node is not self.nodes[-1]:
                raise node.refuse(f"a {node.op} before the end; expected it to be the last node")
            shapes[node.name] = node.result([shapes[source] for source in node.inputs])
            if math.prod(shapes[node.name]) > MAX_SIZE:
                raise node.refuse(f"{shapes[node.name]}; expected at most {MAX_SIZE:,} elements")
        return shapes

    def inputs(self) -> Iterator[tuple[Node, list[Shape]]]:
        """Yield every node with the shapes of its inputs."""
        shapes = self.shapes()
        for node in self.nodes:
            yield node, [shapes[source] for source in node.inputs]

    def tensors(self) -> dict[str, Shape]:
        """Return names and shapes of all weights and running statistics, in the order of their first use."""
        found: dict[str, Shape] = {}
        for node, shapes in self.inputs():
            for name, shape in (node.weights(shapes) | node.statistics(shapes)).items():
                if found.setdefault(name, shape) != shape:
                    raise InvalidValue(f"{node.name}: {name} of shape {shape}, elsewhere {found[name]}")
        return found

    def trained(self) -> set[str]:
        """Return the names of the weights: all tensors but the running statistics.

        A model of the user's may keep some of them as they are: ``OwnModel.trained_names`` are trained.
        """
        return {name for node, shapes in self.inputs() for name in node.weights(shapes)}

    def up_to_logits(self) -> Graph:
        """Return the graph without a softmax at its end, so that its output is logits.

        A log-softmax stays, since its outputs are logits, too: their softmax is that of its inputs.
        """
        last = self.nodes[-1]
        return Graph(self.nodes[:-1]) if isinstance(last, Softmax) else self

    def to_list(self) -> list[dict[str, Any]]:
        """Return plain values for JSON."""
        return [node.to_dict() for node in self.nodes]

    @classmethod
    def from_list(cls, values: object) -> Graph:
        """Invert ``to_list``. Raises InvalidValue for anything else."""
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise InvalidValue(f"graph: {values!r:.80}; expected a list of nodes")
        return cls(tuple(_node(value) for value in values))


def _node(values: object) -> Node:
    if not isinstance(values, Mapping) or values.get("op") not in OPERATIONS:
        raise InvalidValue(f"node: {values!r:.80}; expected fields with op one of {', '.join(OPERATIONS)}")
    kind = OPERATIONS[values["op"]]
    given = plain({name: value for name, value in values.items() if name != "op"})
    if unknown := sorted(set(given) - {item.name for item in fields(kind)}):
        name = repr(values.get("name"))
        raise InvalidValue(f"node: {name:.80} has a field {unknown[0]!r}, which {kind.op} has not")
    try:
        return kind(**given)
    except TypeError as error:
        raise InvalidValue(f"node: {values.get('name')!r:.80}: {error}") from error
