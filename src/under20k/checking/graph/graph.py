"""A recorded computation as a graph: the edges between nodes, and which nodes are gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from under20k.checking.graph.node import CONVOLUTIONS, MULTIPLICATIONS, PRODUCTS, Node

OPENINGS = ("sigmoid", "hardsigmoid", "softmax", "tanh")
"""Functions that bound a gate."""


class Graph:
    """The nodes that an output depends on, in order."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self._takers: dict[int, list[Node]] = {}
        for node in nodes:
            for source in {id(source): source for source in node.inputs}.values():
                self._takers.setdefault(id(source), []).append(node)
        self._gates: dict[int, bool] = {}

    def takers(self, node: Node) -> list[Node]:
        """Return the nodes that take this one's result; none takes the output."""
        return self._takers.get(id(node), [])

    def after(self, node: Node) -> list[Node]:
        """Return the nodes that depend on this one, in order."""
        reached = self.reached(node)
        return [later for later in self.nodes if id(later) in reached and later is not node]

    def reached(self, node: Node) -> set[int]:
        """Return the ids of the node and of those that depend on it."""
        reached, left = {id(node)}, [node]
        while left:
            for taker in self.takers(left.pop()):
                if id(taker) not in reached:
                    reached.add(id(taker))
                    left.append(taker)
        return reached

    def only_gates(self, node: Node) -> bool:
        """Return whether the node's result only opens gates.

        Past a sigmoid, it multiplies features that do not come from it. The layers of squeeze-and-excitation
        do so, linear or 1×1 convolutions.
        """
        if id(node) not in self._gates:
            self._gates[id(node)] = self._only_gates(node)
        return self._gates[id(node)]

    def _only_gates(self, node: Node) -> bool:
        reached = self.reached(node)
        left, seen = [(node, node.kind in OPENINGS)], set()
        while left:
            at, opens = left.pop()
            if (id(at), opens) in seen:
                continue
            seen.add((id(at), opens))
            takers = self.takers(at)
            if not takers:
                return False
            for taker in takers:
                multiplies = taker.kind in (*MULTIPLICATIONS, *PRODUCTS) and not taker.weighted
                if not (opens and multiplies and any(id(s) not in reached for s in taker.images)):
                    left.append((taker, not taker.is_layer and (opens or taker.kind in OPENINGS)))
        return True

    def reaches_output(self, node: Node, along: Callable[[Node], bool]) -> bool:
        """Return whether some path from the node to the output has only nodes like that after it."""
        left, seen = [node], {id(node)}
        while left:
            takers = self.takers(left.pop())
            if not takers:
                return True
            for taker in takers:
                if id(taker) not in seen and along(taker):
                    seen.add(id(taker))
                    left.append(taker)
        return False

    def convolutions(self) -> list[Node]:
        """Return the convolutions of maps; one of a 1×1 map is a linear layer."""
        return [node for node in self.nodes if node.kind in CONVOLUTIONS and node.images and _on_map(node)]

    def following(self, node: Node) -> Iterator[str]:
        """Yield the kinds of the nodes after this one, up to a branch or to the next layer with weights."""
        while len(takers := self.takers(node)) == 1 and not takers[0].is_layer:
            (node,) = takers
            yield node.kind


def _on_map(node: Node) -> bool:
    return max(source.positions for source in node.images) > 1
