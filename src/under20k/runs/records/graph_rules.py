"""The rules for networks, of a user's own model: read from its graph, no code of the user's runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from under20k.recipe.graph.graph import Graph
from under20k.recipe.graph.layers import KINDS
from under20k.recipe.graph.node import Node
from under20k.recipe.graph.operations import BatchNorm, Convolution, Linear
from under20k.recipe.limits import PARAMETER_LIMIT
from under20k.recipe.own_model import OwnModel
from under20k.runs.records.averaging import averages_maps

MAX_ELEMENTS = 3 * PARAMETER_LIMIT
"""Of all tensors: the parameters and, for each of as many channels, two running statistics of BatchNorm."""


def graph_rules(model: OwnModel) -> list[str]:
    """Return the rules that a user's own model breaks: on graph, tensors, BatchNorm and pooling."""
    if model.graph is None:
        return [f"{model.why}: only its own code computes it, which verification does not run"]
    wrong = list(_tensor_rules(model, model.graph))
    if bare := _without_batch_norm(model.graph):
        wrong.append(f"no BatchNorm after {', '.join(bare)}; every convolution but the last needs it")
    if not averages_maps(model.graph):
        wrong.append("no global average pooling; a record's network averages its last maps")
    return [*wrong, *_stated_figures(model)]


def _tensor_rules(model: OwnModel, graph: Graph) -> Iterator[str]:
    """Yield tensors that a record's network cannot have; nothing of their size may be made before."""
    if idle := sorted(model.tensors().keys() - graph.tensors().keys()):
        named = f"{idle[0]!r:.80}" + (f" and {len(idle) - 1} more" if idle[1:] else "")
        yield f"its graph does not use {named}; a record's network has no other tensors"
    shapes = [*model.tensor_shapes, *model.integers]
    if (elements := sum(math.prod(shape) for _, shape in shapes)) > MAX_ELEMENTS:
        yield f"tensors of {elements:,} elements; a record's network has at most {MAX_ELEMENTS:,}"


def _stated_figures(model: OwnModel) -> Iterator[str]:
    """Yield the figures of a model that its graph has not.

    They were counted in the module, whose products with a tensor of its own count or not by how they are
    written; in the graph they are scales.
    """
    layers = list(model.layers())
    most = sum(layer.macs for layer in layers)
    least = most - sum(layer.macs for layer in layers if layer.kind == KINDS["scale"])
    if not least <= model.macs <= most:
        shown = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        yield f"{model.macs:,} multiply-accumulates; its graph has {shown}"
    fields = {1, *(layer.receptive_field for layer in layers)}
    pools = [layer for layer in layers if layer.kind.startswith("Adaptive")]
    # Norms of an image's own statistics pool in the graph, which widens its fields, but not in the module.
    wider = len(pools) > 1 and model.receptive_field <= max(fields)
    if model.receptive_field not in fields and not wider:
        yield f"a receptive field of {model.receptive_field} pixels, which no layer of its graph has"


def _without_batch_norm(graph: Graph) -> list[str]:
    """Return the names of convolutions with a way to the next weights that passes no BatchNorm."""
    takers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for source in node.inputs:
            takers.setdefault(source, []).append(node)

    def covered(node: Node) -> bool:
        following = takers.get(node.name, [])
        return bool(following) and all(
            isinstance(taker, BatchNorm) or (not isinstance(taker, Convolution | Linear) and covered(taker))
            for taker in following
        )

    convolutions = [node for node in graph.nodes if isinstance(node, Convolution)]
    return [node.name for node in convolutions[:-1] if not covered(node)]
