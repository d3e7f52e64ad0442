"""The head of a network, from its maps to the classes, and the receptive field of its input."""

from __future__ import annotations

from under20k.checking.graph.graph import Graph
from under20k.checking.graph.node import CONVOLUTIONS, RESHAPING, Node
from under20k.checking.graph.receptive_field import REDUCTIONS, averages_whole_map, pools_whole_map
from under20k.checking.rules.verdict import Verdict, at, code, several, times
from under20k.recipe.architecture import IMAGE_SIDE

SCALINGS = ("div", "__truediv__", "true_divide", "mul", "__mul__", "__rmul__", "multiply", "divide")


def judge_head(graph: Graph) -> Verdict:
    """Judge whether the network ends in global average pooling or a fully connected layer.

    No map may come after it on the way to the output.
    """
    requirement = "global average pooling or fully connected"
    heads = [(node, what) for node in graph.nodes if (what := _kind(node, graph)) and _is_final(node, graph)]
    if heads:
        return Verdict(True, requirement, several(f"{at(node)}: {what}" for node, what in heads))
    evidence, fix = "neither is computed", _fix(graph)
    pools = [node for node in graph.nodes if _is_final(node, graph) and _reduces(node)]
    for node in pools[-1:]:
        evidence += f": {at(node)} {_what_it_pools(node)}"
        if "avg_pool" in node.kind and not pools_whole_map(node):
            rows, columns = node.input_shape[-2:]
            kernel = str(rows) if rows == columns else f"({rows}, {columns})"
            fix = f"make {code(node)}, nn.AdaptiveAvgPool2d(1) or nn.AvgPool2d({kernel}): no parameters"
        elif node.kind == "sum":
            fix = f"take the mean in place of the sum, {node.source or node.name}: no parameters"
        else:
            fix = f"use nn.AdaptiveAvgPool2d(1) or x.mean((2, 3)) in place of {code(node)}: no parameters"
    gates = [node for node in graph.nodes if _kind(node, graph) and not _is_final(node, graph)]
    if gates and not pools:
        evidence += f": {at(gates[-1])} is followed by maps again"
    return Verdict(False, requirement, evidence, fix=fix)


def receptive_field(graph: Graph) -> int:
    """Return the side, in pixels, of what is seen before the global pooling or the last layer; 0 for none."""
    into = _last(graph)[0]
    return 0 if into is None else int(_field_into(into))


def _last(graph: Graph) -> tuple[Node | None, bool]:
    """Return the node that the receptive field is judged before, and whether it pools the whole map."""
    pools = [node for node in graph.nodes if pools_whole_map(node) and _is_final(node, graph)]
    if pools:
        return max((_first_of_pooling(node) for node in pools), key=_field_into), True
    layers = [node for node in graph.nodes if node.is_layer and not graph.only_gates(node)]
    return (layers[-1] if layers else None), False


def judge_receptive_field(graph: Graph, least: int) -> Verdict:
    """Judge the receptive field before the global pooling, or before the last layer with weights.

    A 1×1 convolution so gets the same verdict before global average pooling and after it. Pooling a 1×1 map
    changes nothing and does not count.
    """
    requirement = f"at least {least}×{least}; the image has {IMAGE_SIDE}×{IMAGE_SIDE}"
    into, pools = _last(graph)
    if into is None:
        return Verdict(False, requirement, "no layer with weights", fix="add a convolution")
    if pools:
        where, what = "the global pooling", "which sees the rest"
    else:
        where, what = f"the last layer, {at(into)}", f"{_square(into.receptive_field)} with it"
    side = _field_into(into)
    passed = side >= least
    text = f"{_square(side)} before {where}"
    if not passed if pools else into.receptive_field > side:
        text += f", {what}"
    text += "" if least == IMAGE_SIDE else f"; at least {_square(least)} is required"
    fix = "" if passed else _larger_field(into, least - side) if graph.convolutions() else "use convolutions"
    return Verdict(passed, requirement, text, fix=fix)


def _square(side: int) -> str:
    return f"{side}×{side}"


def _field_into(node: Node) -> int:
    """Return the side of the receptive field of the node's inputs, the largest of them."""
    fields = [_before_unfolding(source).fields for source in node.images]
    return int(min(max(field[axis] for field in fields) for axis in (0, 1)))


def _before_unfolding(node: Node) -> Node:
    """Return the input of unfolded windows: with weights they are a convolution."""
    start = node
    while node.kind in RESHAPING and node.images:
        node = node.images[0]
    return node.images[0] if node.kind == "unfold" else start


def _first_of_pooling(node: Node) -> Node:
    """Return the first node of a pooling that is done axis by axis."""
    while (source := node.images[0]).kind in REDUCTIONS and 1 < source.positions < source.images[0].positions:
        node = source
    return node


def _larger_field(into: Node, missing: int) -> str:
    """Return how many more 3×3 convolutions are needed, and the cost of each with its BatchNorm."""
    source = into.images[0]
    if source.positions == 1 or not source.shape:
        return "pool or stride earlier"
    jump = max(1, int(max(source.jumps)))
    channels = source.shape[0] if len(source.shape) == 3 else source.shape[-1] // source.positions
    count, cost = -(-missing // (2 * jump)), 9 * channels**2 + 3 * channels
    text = "pool or stride earlier, or add "
    text += f"{count} more 3×3 convolutions" if count > 1 else "a 3×3 convolution"
    text += f" before it: {2 * jump} pixels more"
    text += " each" if count > 1 else ""
    return text + f", {cost:,} parameters with {channels} channels"


def _is_final(node: Node, graph: Graph) -> bool:
    """Return whether no map of several positions comes between the node and the output, unlike a gate."""
    return node.sides == (1, 1) and graph.reaches_output(node, lambda later: later.positions == 1)


def _kind(node: Node, graph: Graph) -> str:
    """Describe the head that a node may be, empty if it is not one."""
    taken = times(node.input_shape)
    if averages_whole_map(node):
        scaled = any(taker.kind in SCALINGS for taker in graph.takers(node))
        trivial = ", each its own average" if node.input_shape[1:] == (1, 1) else ""
        return f"global average of {taken}{trivial}" if node.kind != "sum" or scaled else ""
    if not node.weighted:
        return ""
    if node.kind not in CONVOLUTIONS:
        return f"fully connected, of {taken}" if node.sides == (1, 1) else ""
    whole = node.kind == "conv2d" and node.shape[1:] == (1, 1)
    whole = whole and tuple(node.settings["kernel_size"]) == node.input_shape[1:]
    whole = whole and not any(later.is_layer for later in graph.after(node))
    return f"fully connected, a convolution over the whole map of {taken}" if whole else ""


def _reduces(node: Node) -> bool:
    """Return whether the node reduces positions of a map without weights."""
    pools = node.kind in REDUCTIONS or "pool" in node.kind
    return pools and not node.weighted and any(source.positions > node.positions for source in node.images)


def _what_it_pools(node: Node) -> str:
    whole = times(node.input_shape[-2:])
    if "avg_pool" in node.kind and "adaptive" not in node.kind:
        kernel = node.settings.get("kernel_size", 1)
        sides = tuple(kernel) if isinstance(kernel, list | tuple) else (kernel, kernel)
        return f"averages {times(sides[-2:])} of the {whole} map"
    if "max" in node.kind:
        return "takes the maximum over the map"
    return f"takes the {node.kind} over the map"


def _fix(graph: Graph) -> str:
    if graph.nodes and graph.nodes[-1].positions > 1:
        return "average the maps at the end, x.mean((2, 3)): no parameters"
    return "put nn.AdaptiveAvgPool2d(1) after the last convolution, or end with nn.Linear"
