"""Sums, products and concatenations as nodes of a graph.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

from typing import Any

from under20k.checking.convert.arguments import arguments
from under20k.checking.convert.conversion import Conversion
from under20k.checking.convert.own_tensors import divided, named, product, scaled, shifted
from under20k.checking.convert.reasons import refused, used
from under20k.checking.convert.values import Value, graph_shape
from under20k.checking.graph.node import Node, Operand
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.node import Shape

MOST_COPIES = 64
"""Channels that one map is repeated for."""


def add(c: Conversion, node: Node) -> Value:
    """Convert ``x + y``, also with a number and with ``alpha``."""
    first, second, alpha = _terms(c, node)
    return _sum(c, node, first, second, 1.0, alpha)


def subtract(c: Conversion, node: Node) -> Value:
    """Convert ``x - y``."""
    first, second, alpha = _terms(c, node)
    return _sum(c, node, first, second, 1.0, -alpha)


def subtract_from(c: Conversion, node: Node) -> Value:
    """Convert ``y - x``, as Python gives it to x."""
    first, second, alpha = _terms(c, node)
    return _sum(c, node, first, second, -alpha, 1.0)


def multiply(c: Conversion, node: Node) -> Value:
    """Convert ``x * y``."""
    first, second, _ = _terms(c, node)
    for value, factor in ((first, second), (second, first)):
        if named(factor):
            return scaled(c, node, c.single(value, node), factor)
        if (number := c.number(factor, node)) is not None:
            return _scaled(c, node, c.single(value, node), number, 0.0)
    return _combined(c, node, op.Multiply, _value(c, first, node), _value(c, second, node))


def matrix_product(c: Conversion, node: Node) -> Value:
    """Convert ``x @ matrix`` with a matrix of the model's own."""
    given = arguments(node)
    first, second = given["input"], given["other"]
    if not named(second) or "out" in given:
        raise used(node)
    return product(c, node, c.single(first, node), second)


def divide(c: Conversion, node: Node) -> Value:
    """Convert ``x / number``, and ``x / tensor`` of the model's own."""
    first, second, _ = _terms(c, node)
    if named(second) and not arguments(node).get("rounding_mode"):
        return divided(c, node, c.single(first, node), second)
    number = c.number(second, node)
    if not number or arguments(node).get("rounding_mode"):
        raise used(node, "by something else than a number")
    return _scaled(c, node, c.single(first, node), 1 / number, 0.0)


def takes_two(node: Node) -> bool:
    """Return whether a maximum is the larger of two tensors, not of one along an axis."""
    return isinstance(arguments(node).get("other", arguments(node).get("dim")), Operand)


def larger(c: Conversion, node: Node) -> Value:
    """Convert the larger of two values, ``x + relu(y - x)``, or the smaller, ``x - relu(x - y)``."""
    if not takes_two(node):
        raise used(node)
    assert node.call is not None
    first, second = (c.single(part, node) for part in [*node.call.args, *node.call.kwargs.values()][:2])
    if first.shape != second.shape or first.shape != tuple(node.shape):
        raise used(node, "on tensors of different shapes")
    shape = first.given
    names = c.builder.shaped(first, shape), c.builder.shaped(second, shape)
    sign = -1.0 if node.kind.startswith("min") else 1.0
    opposite = c.builder.add(op.Scale, f"{node.kind}.opposite", names[:1], factor=-1.0)
    difference = c.builder.add(op.Add, f"{node.kind}.difference", (names[1], opposite))
    if sign < 0:
        difference = c.builder.add(op.Scale, f"{node.kind}.difference", (difference,), factor=-1.0)
    more = c.builder.add(op.Activation, f"{node.kind}.more", (difference,), function="relu")
    if sign < 0:
        more = c.builder.add(op.Scale, f"{node.kind}.less", (more,), factor=-1.0)
    return c.add(node, op.Add, (names[0], more), shape)


def absolute(c: Conversion, node: Node) -> Value:
    """Convert ``abs(x)``, which is ``relu(x) + relu(-x)``."""
    value = c.single(arguments(node)["input"], node)
    opposite = c.builder.add(op.Scale, "abs.opposite", (value.name,), factor=-1.0)
    parts = [
        c.builder.add(op.Activation, "abs.part", (name,), function="relu") for name in (value.name, opposite)
    ]
    return c.elementwise_of(node, value, op.Add, tuple(parts))


def negate(c: Conversion, node: Node) -> Value:
    """Convert ``-x``."""
    return _scaled(c, node, c.single(arguments(node)["input"], node), -1.0, 0.0)


def square(c: Conversion, node: Node) -> Value:
    """Convert ``x ** 2``."""
    given = arguments(node)
    exponent = 2 if node.kind == "square" else given.get("other", given.get("exponent"))
    if exponent != 2:
        raise used(node)
    value = c.single(given["input"], node)
    return c.add(node, op.Multiply, (value.name, value.name), value.given)


def concatenate(c: Conversion, node: Node) -> Value:
    """Convert the concatenation of channels or features."""
    given = arguments(node)
    parts = given["tensors"]
    if not isinstance(parts, list | tuple):
        raise used(node)
    values = [c.single(part, node) for part in parts]
    if int(given.get("dim", 0)) % (len(values[0].shape) + 1) != 1:
        raise used(node, f"over dim {given.get('dim', 0)}")
    names = tuple(c.builder.shaped(value, graph_shape(value.shape)) for value in values)
    return c.add(node, op.Concatenate, names, graph_shape(tuple(node.shape)))


def expand(c: Conversion, node: Node) -> Value:
    """Convert the expansion of (C, 1, 1) over a map, which a sum or product then takes in."""
    assert node.call is not None
    value = c.single(node.call.args[0], node)
    if tuple(node.shape) == value.shape:
        return value
    if len(node.shape) != len(value.shape) or node.call.batch != c.batch:
        raise used(node, "into another number of axes")
    return Value(value.name, value.given, value.shape, expanded=tuple(node.shape))


def _terms(c: Conversion, node: Node) -> tuple[Any, Any, float]:
    given = arguments(node)
    alpha = c.number(given.get("alpha", 1), node)
    if alpha is None or "out" in given:
        raise used(node)
    return given["input"], given["other"], alpha


def _value(c: Conversion, operand: Any, node: Node) -> Value:
    """Return an argument; name it where it is a tensor that does not depend on the image."""
    if isinstance(operand, Operand) and (operand.node is None or not operand.node.sees_image):
        what = "a parameter of its own" if operand.parameter else "a tensor of its own"
        name = f", {operand.name}" if operand.name else ""
        raise refused(node, f"computes with {what}{name}")
    return c.value(operand, node)


def _sum(c: Conversion, node: Node, first: Any, second: Any, factor: float, other: float) -> Value:
    """Convert ``factor * first + other * second``."""
    if named(second):
        return shifted(c, node, c.single(first, node), second, factor, other)
    if named(first):
        return shifted(c, node, c.single(second, node), first, other, factor)
    if (number := c.number(second, node)) is not None:
        return _scaled(c, node, c.single(first, node), factor, other * number)
    if (number := c.number(first, node)) is not None:
        return _scaled(c, node, c.single(second, node), other, factor * number)
    values = [_value(c, first, node), _value(c, second, node)]
    for index, by in enumerate((factor, other)):
        if by != 1:
            value = values[index]
            name = c.builder.add(op.Scale, f"{value.name}.scale", (value.name,), factor=by)
            values[index] = Value(name, value.given, value.shape, value.expanded)
    return _combined(c, node, op.Add, *values)


def _scaled(c: Conversion, node: Node, value: Value, factor: float, offset: float) -> Value:
    if (factor, offset) == (1, 0):
        return value
    return c.elementwise(node, value, op.Scale, factor=factor, offset=offset)


def _for_each_channel(c: Conversion, value: Value, result: Shape) -> Value:
    """Return one map as (C, H, W) where that is the shape of the result: itself, C times."""
    alike = len(result) == 3 and value.shape == (1, *result[1:]) and value.expanded in (None, result)
    if not alike or not 1 < result[0] <= MOST_COPIES or result[1:] == (1, 1):
        return value
    name = c.builder.shaped(value, value.shape)
    copies = c.builder.add(op.Concatenate, f"{value.name}.repeat", (name,) * result[0])
    return Value(copies, result, result)


def _combined(c: Conversion, node: Node, kind: type[op.Add | op.Multiply], *values: Value) -> Value:
    """Append a sum or product of two values of one shape, or of (C, H, W) and (C, 1, 1) or (1, H, W)."""
    result = tuple(node.shape)
    first, second = values = tuple(_for_each_channel(c, value, result) for value in values)
    if first.shape == second.shape == result:
        shape: Shape = first.given if first.given == second.given else graph_shape(result)
        return c.add(node, kind, tuple(c.builder.shaped(v, shape) for v in values), shape)
    whole = [v for v in values if v.shape == result and not v.expanded]
    gates = [v for v in values if v.shape[1:] == (1, 1) and v.shape[0] == result[0]]
    if len(result) != 3 or not whole or not gates or len(first.shape) != len(second.shape):
        shapes = " and ".join(str(("N", *v.shape)).replace("'", "") for v in values)
        raise used(node, f"on tensors of shapes {shapes}")
    names = (c.builder.shaped(whole[0], result), c.builder.shaped(gates[0], (result[0], 1, 1)))
    return c.add(node, kind, names, result)
