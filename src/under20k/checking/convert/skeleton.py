"""What of a graph must be the same in training and at evaluation: all but names, reshapes and dropout."""

from __future__ import annotations

from typing import Any

from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph

Skeleton = list[tuple[Any, ...]]


def skeleton(graph: Graph) -> Skeleton:
    """Return the operations with weights, settings and inputs; inputs by number, without reshapes."""
    number = {IMAGE: 0}
    found: Skeleton = []
    shapes = graph.shapes()
    for node in graph.nodes:
        if isinstance(node, op.Dropout | op.Reshape):
            number[node.name] = number[node.inputs[0]]
            continue
        fields = {name: value for name, value in node.to_dict().items() if name not in ("name", "inputs")}
        taken = [(number[source], shapes[source]) for source in node.inputs]
        found.append((sorted(fields.items(), key=lambda item: item[0]), taken))
        number[node.name] = len(found)
    return found
