"""Pooling and means over maps as nodes of a graph.

Shapes: C channels, H rows, W columns of one image's values.
"""

from __future__ import annotations

import math
from typing import Any

from under20k.checking.convert.arguments import arguments, pair
from under20k.checking.convert.arithmetic import larger, takes_two
from under20k.checking.convert.conversion import Conversion
from under20k.checking.convert.reasons import used
from under20k.checking.convert.values import Value
from under20k.checking.graph.node import Node
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.node import Shape


def windowed(c: Conversion, node: Node) -> Value:
    """Convert ``max_pool2d`` or ``avg_pool2d``."""
    given = arguments(node)
    _, maps = c.maps(given["input"], node)
    kernel = pair(given["kernel_size"])
    stride = given.get("stride")
    if pair(given.get("dilation", 1)) != (1, 1):
        raise used(node, "with dilation")
    if given.get("divisor_override") is not None:
        raise used(node, "with a divisor of its own")
    average = node.kind == "avg_pool2d"
    return c.add(
        node,
        op.Pool,
        (maps,),
        tuple(node.shape),
        kind="average" if average else "max",
        kernel=kernel,
        stride=pair(stride) if stride not in (None, [], ()) else kernel,
        padding=pair(given.get("padding", 0)),
        ceil=bool(given.get("ceil_mode", False)),
        count_padding=bool(given.get("count_include_pad", True)) if average else True,
    )


def adaptive(c: Conversion, node: Node) -> Value:
    """Convert adaptive pooling; that of (C, L) is one of (C, 1, L)."""
    given = arguments(node)
    kind = "average" if "avg" in node.kind else "max"
    if node.kind.endswith("1d"):
        value = c.single(given["input"], node)
        if len(value.shape) != 2:
            raise used(node, f"on a tensor of shape {tuple(value.shape)}")
        shape = (value.shape[0], 1, value.shape[1])
        size = (1, int(node.shape[-1]))
        return c.add(
            node, op.AdaptivePool, (c.builder.shaped(value, shape),), (shape[0], *size), kind=kind, size=size
        )
    _, maps = c.maps(given["input"], node)
    size = (int(node.shape[1]), int(node.shape[2]))
    return c.add(node, op.AdaptivePool, (maps,), tuple(node.shape), kind=kind, size=size)


def repeated(c: Conversion, node: Node) -> Value:
    """Convert ``interpolate`` that repeats elements: adaptive pooling to a multiple of the map's size."""
    given = arguments(node)
    value, maps = c.maps(given["input"], node)
    if given.get("mode", "nearest") not in ("nearest", "nearest-exact"):
        raise used(node, f"of mode {given['mode']!r}")
    size = (int(node.shape[1]), int(node.shape[2]))
    if size[0] % value.shape[1] or size[1] % value.shape[2]:
        raise used(node, "to a size that is no multiple of the map's")
    return c.add(node, op.AdaptivePool, (maps,), tuple(node.shape), kind="average", size=size)


def reduction(c: Conversion, node: Node) -> Value:
    """Convert a mean, sum, maximum or minimum over neighbouring axes; also the larger of two values."""
    if node.kind in ("max", "min") and takes_two(node):
        return larger(c, node)
    given = arguments(node)
    value = c.single(given["input"], node)
    rank = len(value.shape) + 1
    dims = given.get("dim")
    if dims is None or ("dtype" in given and given["dtype"] is not None):
        raise used(node, "over the whole batch" if dims is None else "")
    reduced = {int(dim) % rank for dim in (dims if isinstance(dims, list | tuple) else [dims])}
    kept = [side for axis, side in enumerate(value.shape, 1) if axis in reduced]
    if all(side == 1 for side in kept) and 0 not in reduced:  # nothing to reduce
        return Value(value.name, value.given, tuple(node.shape))
    if rank == 4 and reduced <= {2, 3}:
        shape: Shape = value.shape
        size = (1 if 2 in reduced else shape[1], 1 if 3 in reduced else shape[2])
    else:
        shape = _table(value.shape, reduced)
        if not shape:
            raise used(node, f"over {_axes(reduced)}")
        size = (1, shape[2])
    kind = "average" if node.kind in ("mean", "sum") else "max"
    maps = c.builder.shaped(value, shape)
    least = node.kind in ("amin", "min")  # the largest of all opposites
    if least:
        maps = c.builder.add(op.Scale, f"{node.kind}.opposite", (maps,), factor=-1.0)
    pooled = c.add(node, op.AdaptivePool, (maps,), (shape[0], *size), kind=kind, size=size)
    if node.kind == "sum":
        return c.elementwise(node, pooled, op.Scale, factor=float(math.prod(kept)))
    return c.elementwise(node, pooled, op.Scale, factor=-1.0) if least else pooled


def _table(shape: Shape, reduced: set[int]) -> Shape:
    """Return a shape (before, reduced, after): reducing its middle axis is the reduction asked for.

    Args:
        shape: of one image's values.
        reduced: axes, the images' being 0; neighbours, or there is no such shape.
    """
    first, last = min(reduced), max(reduced)
    if first == 0 or any(shape[axis - 1] > 1 for axis in set(range(first, last + 1)) - reduced):
        return ()
    before, middle, after = shape[: first - 1], shape[first - 1 : last], shape[last:]
    return (math.prod(before), math.prod(middle), math.prod(after))


def _axes(reduced: Any) -> str:
    return f"dim {', '.join(map(str, sorted(reduced)))}"
