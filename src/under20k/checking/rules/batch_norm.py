"""BatchNorm after every convolution but the last, and in which order.

A convolution has BatchNorm where every path from it passes one before the next layer with weights. Anything
else may come in between: an activation, pooling, dropout, a sum, a concatenation. BatchNorm works channel by
channel, so one over a sum covers each summand, and one over a concatenation each of its parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from under20k.checking.graph.graph import Graph
from under20k.checking.graph.node import Node
from under20k.checking.rules.verdict import ACTIVATIONS, Verdict, at, code, several

REQUIREMENT = "BatchNorm after every convolution but the last"
ORDER = "convolution → BatchNorm → ReLU"


@dataclass
class Ways:
    """The ends of the paths from a convolution."""

    normalised: bool = False
    """Whether one of them passes BatchNorm."""
    bare: list[Node] = field(default_factory=list)
    """Layers, or the output, that are reached without BatchNorm."""
    late: list[tuple[Node, Node]] = field(default_factory=list)
    """Pairs of an activation or dropout and the BatchNorm that comes only after it."""

    @property
    def covered(self) -> bool:
        return self.normalised and not self.bare


def judge_batch_norm(graph: Graph, parameters: int) -> tuple[Verdict, Verdict | None]:
    """Judge BatchNorm and its order; the second is None without BatchNorm after a convolution.

    ``parameters`` is the model's count, to tell what a fix costs.
    """
    convolutions = [node for node in graph.convolutions() if not graph.only_gates(node)]
    required = _required(convolutions, graph)
    own = _before_batch_norm(set(map(id, required)), convolutions, graph)
    ways = {id(node): _ways(node, graph, own) for node in convolutions}
    bare = [node for node in required if not ways[id(node)].covered]
    calls = _calls(convolutions)
    text = f"after {len(required) - len(bare)} of {len(required)}"
    if len(convolutions) > len(required):
        text += f" convolution{'s' * (len(required) != 1)} before the last, {at(convolutions[-1])}"
    elif len(convolutions) == 1:
        text += " convolution, the only one"
    else:
        text += " convolutions" if convolutions else ": there is no convolution"
    if bare:
        text += "; " + _what_is_bare(bare, ways, graph, calls)
    late = [pair for node in convolutions for pair in ways[id(node)].late]
    order = None
    if any(ways[id(node)].normalised for node in convolutions):
        order = _order(late)
    remark = f"the usual order is {ORDER}" if late else ""
    fix = _fix(bare, parameters, ways, calls) if bare else ""
    if not convolutions:
        fix = (
            "a network without convolutions has nothing to normalise; use nn.Conv2d, with BatchNorm after it"
        )
    return Verdict(bool(required) and not bare, REQUIREMENT, text, remark, fix), order


def has_batch_norm(node: Node, graph: Graph) -> bool:
    """Return whether every path from a convolution passes BatchNorm before the next layer with weights."""
    return _ways(node, graph, set()).covered


def _required(convolutions: Sequence[Node], graph: Graph) -> list[Node]:
    """Return the convolutions that need BatchNorm.

    They are all but the last and those that make the output side by side with it. A single one needs it too,
    or nothing would be normalised.
    """
    required = [node for node in convolutions[:-1] if any(later.is_layer for later in graph.after(node))]
    return required or list(convolutions)


def _before_batch_norm(required: set[int], convolutions: Sequence[Node], graph: Graph) -> set[int]:
    """Return the ids of the nodes from the other convolutions to BatchNorm or the next layer."""
    left = [node for node in convolutions if id(node) not in required]
    own: set[int] = set()
    while left:
        for taker in graph.takers(left.pop()):
            if not (taker.is_layer or taker.kind == "batch_norm" or id(taker) in own):
                own.add(id(taker))
                left.append(taker)
    return own


def _ways(convolution: Node, graph: Graph, own: set[int]) -> Ways:
    ways = Ways()
    # Node, activation or dropout passed on the way, whether the path met the last convolution's output:
    # then it may continue without BatchNorm, as at the end of a residual network.
    left: list[tuple[Node, Node | None, bool]] = [(convolution, None, False)]
    seen = set()
    while left:
        node, passed, met = left.pop()
        if (id(node), id(passed), met) in seen:
            continue
        seen.add((id(node), id(passed), met))
        takers = graph.takers(node)
        if not takers and not met:
            ways.bare.append(node)
        for taker in takers:
            if taker.kind == "batch_norm":
                ways.normalised = True
                if passed is not None:
                    ways.late.append((passed, taker))
            elif taker.is_layer:
                if not met and not graph.only_gates(taker):
                    ways.bare.append(taker)
            else:
                after = passed
                if after is not None and "dropout" in after.kind and len(taker.images) > 1:
                    after = None  # a dense block drops before it concatenates
                if taker.kind in ACTIVATIONS or ("dropout" in taker.kind and taker.settings.get("p", 0.5)):
                    after = after or taker
                left.append((taker, after, met or id(taker) in own))
    return ways


def _calls(convolutions: Sequence[Node]) -> dict[int, str]:
    """Return for each convolution that is called several times which call it is, in words."""
    calls = {}
    for node in convolutions:
        key = (node.name, node.attribute, node.source)
        same = [other for other in convolutions if (other.name, other.attribute, other.source) == key]
        if len(same) > 1:
            calls[id(node)] = f", call {same.index(node) + 1} of {len(same)}"
    return calls


def _what_is_bare(bare: Sequence[Node], ways: dict[int, Ways], graph: Graph, calls: dict[int, str]) -> str:
    plain, depthwise, others = [], [], []
    for node in bare:
        name = at(node) + calls.get(id(node), "")
        taker = next(iter(ways[id(node)].bare), None)
        if taker is not None and _is_depthwise(node) and _is_pointwise(taker):
            depthwise.append(name)
        elif taker is not None and ways[id(node)].normalised:
            where = at(taker) if graph.takers(taker) else "the output"
            others.append(f"{name} has one, but also goes to {where} without")
        else:
            plain.append(name)
    halves = "its pointwise half" if len(depthwise) == 1 else "their pointwise halves"
    parts = [
        f"none after {several(plain)}" if plain else "",
        f"none after the depthwise {several(depthwise)}, before {halves}" if depthwise else "",
        *others,
    ]
    return several(filter(None, parts), "; ")


def _is_depthwise(node: Node) -> bool:
    groups = node.settings.get("groups", 1)
    return isinstance(groups, int) and groups > 1 and groups == node.input_shape[0]


def _is_pointwise(node: Node) -> bool:
    return set(node.settings.get("kernel_size", (0,))) == {1} and node.settings.get("groups", 1) == 1


def _order(late: Sequence[tuple[Node, Node]]) -> Verdict:
    requirement = f"the order {ORDER}"
    if not late:
        return Verdict(True, requirement, "BatchNorm comes before the activation")
    kinds: dict[str, list[str]] = {}
    for first, norm in late:
        kinds.setdefault(first.kind, []).append(at(norm))
    text = "; ".join(f"after {kind}: {several(names)}" for kind, names in kinds.items())
    norms = several((code(norm) for _, norm in late), "; ")
    fix = f"call before {' and '.join(kinds)}: {norms}; no parameters"
    return Verdict(False, requirement, text, fix=fix)


def _fix(bare: Sequence[Node], parameters: int, ways: dict[int, Ways], calls: dict[int, str]) -> str:
    layers: dict[str, int] = {}
    others = []
    for node in bare:
        name = code(node) + calls.get(id(node), "")
        if ways[id(node)].normalised:
            others.append(f"use {name}, only after its BatchNorm: no parameters")
            continue
        channels = node.shape[0] if node.shape else 0
        rank = next(rank for rank in (1, 2, 3) if f"{rank}d" in node.kind)
        layers[f"nn.BatchNorm{rank}d({channels}) after {name}"] = 2 * channels
    cost = sum(layers.values())
    text = f"add {several(layers, '; ')}: {cost:,} parameters, {parameters + cost:,} then"
    return several([text] * bool(layers) + others, "; ")
