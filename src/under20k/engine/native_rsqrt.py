"""The reciprocal square root for the C++ engine, of the operations that it has.

x^(-1/2) is the integral of sigmoid(-t x) t^(-1/2) over t, but for a factor. The trapezoidal rule in log t
gives it to 4% from 1e-6 to 1e7, and a smaller number elsewhere; three steps of Newton's method leave only
roundings of the 4%. From any smaller number they grow towards the root, so that nothing diverges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from under20k.engine.isa import _native

if TYPE_CHECKING:
    AnyNode = _native.Node

FIRST, LAST, STEP = -26, 18, 2
"""Of log t."""
WHOLE = 1.0721549299401914
"""The integral at x = 1: √π · (1 - √2) · ζ(1/2)."""
NEWTON_STEPS = 3


class _Nodes:
    """Nodes of one shape that follow the ones before."""

    def __init__(self, shape: tuple[int, int, int], first: int) -> None:
        self.shape = shape
        self.first = first
        self.nodes: list[AnyNode] = []

    def add(self, operation: str, inputs: Sequence[int]) -> AnyNode:
        self.nodes.append(_native.Node(operation, list(inputs), self.shape))
        return self.nodes[-1]

    @property
    def last(self) -> int:
        """Number of the value of the node added last."""
        return self.first + len(self.nodes) - 1

    def scaled(self, x: int, factor: float, offset: float = 0.0) -> int:
        node = self.add("scale", [x])
        node.factor, node.offset = factor, offset
        return self.last

    def product(self, x: int, y: int) -> int:
        self.add("multiply", [x, y])
        return self.last


def rsqrt_nodes(x: int, shape: tuple[int, int, int], first: int) -> list[AnyNode]:
    """Return nodes of which the last one gives 1/√x.

    Args:
        x: number of the value, above 0.
        shape: of the value.
        first: number of the value of the first of these nodes.
    """
    nodes = _Nodes(shape, first)
    terms = []
    for log in range(FIRST, LAST + 1, STEP):
        opposite = nodes.scaled(x, -math.exp(log))
        nodes.add("function", [opposite]).apply("sigmoid", 0.0)
        terms.append(nodes.scaled(nodes.last, STEP * math.exp(log / 2) / WHOLE))
    nodes.add("add", terms)
    found = nodes.last
    for _ in range(NEWTON_STEPS):
        one = nodes.product(x, nodes.product(found, found))
        found = nodes.product(found, nodes.scaled(one, -0.5, 1.5))
    return nodes.nodes
