"""Tensors of a model's own that its code computes with: scales, shifts and matrices that no layer holds.

A scale is the kernel of a 1×1 convolution of as many groups as it has elements; a shift is such a convolution
of ones. So they need no operations of their own.

Shapes: C channels, H rows, W columns of one image's values; F features, E elements of the tensor.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from under20k.checking.convert.conversion import SAME, Conversion, dummy, name_of
from under20k.checking.convert.reasons import refused, used
from under20k.checking.convert.values import Value
from under20k.checking.graph.node import Node, Operand
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.node import Shape

VIEWS = (
    *("view", "reshape", "flatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "unflatten"),
    *("expand", "expand_as", "broadcast_to", "__getitem__", "t", "transpose", "permute", "__get__"),
)
"""Functions that give a tensor another shape, turn or repeat it; ``__get__`` is that of ``.T``."""


def named(operand: Any) -> bool:
    """Return whether an argument is a tensor of the model that is no image's value, or a view of one."""
    if not isinstance(operand, Operand):
        return False
    if operand.node is None:
        return bool(operand.name)
    call = operand.node.call
    kind = operand.node.kind
    if operand.node.sees_image or call is None or kind not in (*VIEWS, *SAME) or not call.args:
        return False
    return named(call.args[0])


def scaled(c: Conversion, node: Node, value: Value, operand: Operand, *, view: Shape | None = None) -> Value:
    """Convert the product of a value and a tensor of the model's own, seen in the shape ``view``."""
    return _convolved(c, node, value, operand, name_of(node), view)


def shifted(
    c: Conversion,
    node: Node,
    value: Value,
    operand: Operand,
    factor: float = 1.0,
    other: float = 1.0,
    *,
    view: Shape | None = None,
) -> Value:
    """Convert ``factor * value + other * tensor``.

    Args:
        c: the conversion.
        node: the call.
        value: a value that is not expanded.
        operand: a tensor of the model's own.
        factor: of the value.
        other: of the tensor.
        view: the shape in which the tensor is seen; None for its own.
    """
    name = f"{name_of(node)}.ones"
    ones = c.builder.add(op.Scale, name, (value.name,), factor=0.0, offset=other)
    shift = _convolved(
        c, node, Value(ones, value.given, value.shape), operand, f"{name_of(node)}.shift", view
    )
    if factor != 1:
        scale = c.builder.add(op.Scale, f"{name_of(node)}.scale", (value.name,), factor=factor)
        value = Value(scale, value.given, value.shape)
    names = (c.builder.shaped(value, value.given), c.builder.shaped(shift, value.given))
    return c.add(node, op.Add, names, value.given)


def divided(c: Conversion, node: Node, value: Value, operand: Operand) -> Value:
    """Convert ``value / tensor``: by the tensor times the square of 1/√(tensor²), of either sign."""
    name = name_of(node)
    ones = c.builder.add(op.Scale, f"{name}.ones", (value.name,), factor=0.0, offset=1.0)
    divisor = _convolved(c, node, Value(ones, value.given, value.shape), operand, f"{name}.divisor", None)
    own = c.builder.shaped(divisor, value.given)
    square = c.builder.add(op.Multiply, f"{name}.square", (own, own))
    root = c.builder.add(op.Activation, f"{name}.root", (square,), function="rsqrt")
    inverse = c.builder.add(op.Multiply, f"{name}.inverse", (own, root, root))
    return c.add(node, op.Multiply, (c.builder.shaped(value, value.given), inverse), value.given)


def product(c: Conversion, node: Node, value: Value, operand: Operand) -> Value:
    """Convert ``value @ matrix``, (F,) and (F, outputs).

    The transpose of a tensor is the weight of a linear layer; otherwise every product is computed by itself,
    and then their sums.
    """
    tensor, index = _followed(c, node, operand)
    features, outputs = math.prod(value.shape), node.shape[-1]
    order = torch.arange(index.numel())
    if value.shape != (features,) or tuple(index.shape) != (features, outputs):
        raise _refused(node, operand)
    if c.shapes[tensor] == (outputs, features) and torch.equal(index.T.flatten(), order):
        row = c.builder.shaped(value, (features,))
        return c.add(node, op.Linear, (row,), (outputs,), features=outputs, weight=tensor)
    if not torch.equal(index.flatten(), order):
        raise _refused(node, operand)
    rows = c.builder.shaped(value, (features, 1, 1))
    name = name_of(node)
    products = c.builder.add(
        op.Convolution,
        f"{name}.products",
        (rows,),
        channels=features * outputs,
        weight=tensor,
        kernel=(1, 1),
        groups=features,
        weight_shape=c.shapes[tensor],
    )
    table = c.builder.shaped(Value(products, (features * outputs, 1, 1), ()), (1, features, outputs))
    means = c.builder.add(op.AdaptivePool, f"{name}.means", (table,), kind="average", size=(1, outputs))
    return c.add(node, op.Scale, (means,), (1, 1, outputs), factor=float(features))


def _convolved(
    c: Conversion, node: Node, value: Value, operand: Operand, name: str, view: Shape | None
) -> Value:
    """Append the convolution of a value by a tensor of E elements, each for as many in a row."""
    tensor, index = _followed(c, node, operand)
    index = index if view is None else index.reshape(view)
    count, size = math.prod(c.shapes[tensor]), math.prod(value.shape)
    try:
        spread = torch.broadcast_to(index, (c.batch, *value.shape)).flatten(1)  # (n, elements)
    except RuntimeError:
        raise _refused(node, operand) from None
    if tuple(node.shape) != value.shape or count == 0 or size % count:
        raise _refused(node, operand)
    wanted = torch.arange(count).repeat_interleave(size // count)
    if not bool((spread == wanted).all()):
        raise _refused(node, operand)
    shape = _map(value.given, count)
    return Value(
        c.builder.add(
            op.Convolution,
            name,
            (c.builder.shaped(value, shape),),
            channels=count,
            weight=tensor,
            kernel=(1, 1),
            groups=count,
            weight_shape=c.shapes[tensor],
        ),
        shape,
        value.shape,
    )


def _map(given: Shape, channels: int) -> Shape:
    """Return a shape of so many channels for a value of a graph."""
    if len(given) == 3 and given[0] == channels:
        return given
    if len(given) == 3 and channels == 1:
        return (1, given[0] * given[1], given[2])
    return (channels, math.prod(given) // channels, 1)


def _followed(c: Conversion, node: Node, operand: Operand) -> tuple[str, Tensor]:
    """Return a tensor's name, and the index of its element at every place of a view of it."""
    if operand.node is None:
        if (shape := c.shapes.get(operand.name)) is None:
            raise used(node, f"with {operand.name}, which holds no floating-point numbers")
        return operand.name, torch.arange(math.prod(shape)).view(shape)
    call = operand.node.call
    assert call is not None
    name, index = _followed(c, node, call.args[0])
    if operand.node.kind in SAME:
        return name, index
    others = [dummy(argument, c.batch) for argument in call.args[1:]]
    try:
        result = call.function(index, *others, **call.kwargs)
    except Exception as error:  # it takes something else than shapes
        raise _refused(node, operand) from error
    if not isinstance(result, Tensor) or result.dtype != index.dtype:
        raise _refused(node, operand)
    return name, result


def _refused(node: Node, operand: Operand) -> Exception:
    what = "a parameter of its own" if operand.parameter else "a tensor of its own"
    name = f", {operand.name}" if operand.name else ""
    return refused(node, f"computes with {what}{name}")
