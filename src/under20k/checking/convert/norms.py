"""Norms of each image's own statistics as nodes of a graph: GroupNorm, LayerNorm, InstanceNorm.

Shapes: C channels, H rows, W columns of one image's values, G groups of them.
"""

from __future__ import annotations

import math
from typing import Any

from under20k.checking.convert.arguments import arguments
from under20k.checking.convert.conversion import Conversion, name_of
from under20k.checking.convert.own_tensors import named, scaled, shifted
from under20k.checking.convert.reasons import used
from under20k.checking.convert.values import Value
from under20k.checking.graph.node import Node
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.node import Shape


def group_norm(c: Conversion, node: Node) -> Value:
    """Convert ``group_norm``: statistics of each group of channels, a scale and a shift of each channel."""
    given = arguments(node)
    value = c.single(given["input"], node)
    channels = value.shape[0]
    view = (channels, *(1,) * (len(value.shape) - 1))
    return _norm(c, node, value, int(given["num_groups"]), given, view)


def instance_norm(c: Conversion, node: Node) -> Value:
    """Convert ``instance_norm`` without running statistics, GroupNorm of single channels."""
    given = arguments(node)
    if given.get("running_mean") is not None:
        raise used(node, "with running statistics")
    value = c.single(given["input"], node)
    view = (value.shape[0], *(1,) * (len(value.shape) - 1))
    return _norm(c, node, value, value.shape[0], given, view)


def layer_norm(c: Conversion, node: Node) -> Value:
    """Convert ``layer_norm``: statistics, scale and shift of the last axes."""
    given = arguments(node)
    value = c.single(given["input"], node)
    sides = given["normalized_shape"]
    count = len(sides) if isinstance(sides, list | tuple) else 1
    return _norm(c, node, value, math.prod(value.shape[: len(value.shape) - count]), given, None)


def _norm(
    c: Conversion, node: Node, value: Value, groups: int, given: dict[str, Any], view: Shape | None
) -> Value:
    """Append the nodes of a norm.

    Args:
        c: the conversion.
        node: the call.
        value: what is normalised.
        groups: number of parts that have statistics of their own, one after the other.
        given: the call's arguments.
        view: shape in which its scale and shift apply; None for their own.
    """
    name = name_of(node)
    size = math.prod(value.shape)
    shape = (groups, size // groups, 1)
    if len(value.shape) == 3 and value.shape[0] % groups == 0:
        shape = (groups, value.shape[0] // groups * value.shape[1], value.shape[2])

    def add(part: str, operation: Any, *inputs: str, **fields: Any) -> str:
        return c.builder.add(operation, f"{name}.{part}", inputs, **fields)

    grouped = c.builder.shaped(value, shape)
    mean = add("mean", op.AdaptivePool, grouped, kind="average")
    centred = add("centred", op.Add, grouped, add("opposite", op.Scale, mean, factor=-1.0))
    squares = add("squares", op.Multiply, centred, centred)
    variance = add("variance", op.AdaptivePool, squares, kind="average")
    raised = add("raised", op.Scale, variance, offset=float(given.get("eps", 1e-5)))
    inverse = add("inverse", op.Activation, raised, function="rsqrt")
    result = Value(c.builder.add(op.Multiply, name, (centred, inverse)), shape, value.shape)
    for tensor, convert in ((given.get("weight"), scaled), (given.get("bias"), shifted)):
        if tensor is None:
            continue
        if not named(tensor):
            raise used(node, "with weights that it computes")
        result = convert(c, node, result, tensor, view=view)
    return result
