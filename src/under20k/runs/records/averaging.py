"""Whether a graph's outputs see the image only through global average pooling.

Every value is followed from the image on: over how many positions of a map its elements lie, and whether
all ways to it are averaged. Reshaped maps keep their positions, so that flattening one hides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from under20k.recipe.graph.graph import IMAGE, IMAGE_SIDE, Graph
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.graph.operations import (
    AdaptivePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Linear,
    Pool,
    Scale,
)


@dataclass(frozen=True, slots=True)
class _Value:
    averaged: bool
    """Whether it depends on the image only through averages over whole maps."""
    positions: int
    """Of a map, which lie side by side; 1 for values of no map."""


NO_IMAGE = _Value(averaged=True, positions=1)


def averages_maps(graph: Graph) -> bool:
    """Return whether every way from image to output averages a whole map before anything else reduces it.

    Linear layers and convolutions that take all positions of a map, flattened or not, are refused wherever
    they are: with them an average of what is left proves nothing.
    """
    values = {IMAGE: _Value(averaged=False, positions=IMAGE_SIDE**2)}
    for node, shapes in graph.inputs():
        value = _result(node, shapes, [values[source] for source in node.inputs])
        if value is None:
            return False
        values[node.name] = value
    return values[graph.nodes[-1].name].averaged


def _result(node: Node, shapes: Sequence[Shape], taken: Sequence[_Value]) -> _Value | None:
    """Return what a node makes of its inputs; None if it weights the positions of a map differently."""
    one = taken[0]
    if isinstance(node, Scale) and node.factor == 0:
        return NO_IMAGE  # such as the ones that a shift is a convolution of
    if len(taken) > 1 or isinstance(node, Concatenate):
        return _joined(node, shapes, taken)
    if one.positions == 1:
        return one  # nothing is left to average, even where it is seen as a map again
    match node:
        case Linear():
            return None
        case BatchNorm():
            return one if _whole_maps(shapes[0][1:], one) else None
        case Convolution():
            return _convolved(node, shapes[0], one)
        case Pool() | AdaptivePool():
            return _pooled(node, shapes[0], one)
    return one


def _joined(node: Node, shapes: Sequence[Shape], taken: Sequence[_Value]) -> _Value | None:
    """Return the value of a sum, a product or a concatenation."""
    positions = {value.positions for value in taken}
    most = max(positions)
    if positions - {1, most}:
        return None
    sides = shapes[0][1:]
    if isinstance(node, Concatenate) and len(positions) > 1 and math.prod(sides) != most:
        return None  # features among those of a flattened map
    return _Value(all(value.averaged for value in taken), most)


def _convolved(node: Convolution, shape: Shape, taken: _Value) -> _Value | None:
    channels, *sides = shape
    positions = math.prod(node.result([shape])[1:])
    if math.prod(sides) == taken.positions:
        return None if positions == 1 else _Value(taken.averaged, positions)
    # A number for each channel, in whatever shape: as long as all positions of a map have the same.
    scales = node.groups == node.channels == channels and positions == math.prod(sides)
    return taken if scales and node.kernel == (1, 1) and _whole_maps(sides, taken) else None


def _pooled(node: Pool | AdaptivePool, shape: Shape, taken: _Value) -> _Value | None:
    _, *sides = shape
    size, left = math.prod(sides), node.result([shape])[1:]
    average = node.kind == "average"
    if math.prod(left) == 1 and _whole_maps(sides, taken):
        return _Value(average and _covers(node, sides), positions=1)
    if size == taken.positions:
        return _Value(taken.averaged, math.prod(left))
    if left == (1, sides[1]) and sides[1] % taken.positions == 0:
        return taken  # over channels, at each position
    if average and math.prod(left) == 1 and taken.positions % size == 0:
        return _Value(taken.averaged, taken.positions // size)  # each row of a map by itself
    return None


def _covers(node: Pool | AdaptivePool, sides: Sequence[int]) -> bool:
    """Return whether a pooling's first window holds the whole map."""
    if isinstance(node, AdaptivePool):
        return True
    windows = zip(node.kernel, node.padding, sides, strict=True)
    return all(kernel - padding >= side for kernel, padding, side in windows)


def _whole_maps(sides: Sequence[int], value: _Value) -> bool:
    """Return whether what counts as a channel in a shape holds all positions of one or more maps."""
    return math.prod(sides) % value.positions == 0
