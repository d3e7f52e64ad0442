"""Layers with weights, activations, dropout and softmax as nodes of a graph.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.nn import functional as F

from under20k.checking.convert.arguments import arguments, pair
from under20k.checking.convert.conversion import Conversion
from under20k.checking.convert.reasons import refused, used
from under20k.checking.convert.values import Value, graph_shape
from under20k.checking.graph.node import Node, Operand
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import CLASSES
from under20k.recipe.graph.node import Pair

FUNCTIONS = ("relu", "relu6", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh")
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def convolution(c: Conversion, node: Node) -> Value:
    """Convert ``conv2d``, zeros around its maps included."""
    given = arguments(node)
    value, maps = c.maps(given["input"], node)
    kernel = tuple(node.settings["kernel_size"])
    stride, dilation = pair(given.get("stride", 1)), pair(given.get("dilation", 1))
    padding = _padding(node, given.get("padding", 0), kernel, dilation)
    return c.add(
        node,
        op.Convolution,
        (maps,),
        tuple(node.shape),
        channels=node.shape[0],
        weight=c.weight(given["weight"], node),
        bias=c.weight(given.get("bias"), node),
        kernel=kernel,
        stride=stride,
        padding=(padding[0] + value.padding[0], padding[1] + value.padding[1]),
        dilation=dilation,
        groups=int(given.get("groups", 1)),
    )


def _padding(node: Node, padding: Any, kernel: tuple[int, ...], dilation: Pair) -> Pair:
    if padding == "valid":
        return (0, 0)
    if padding != "same":
        return pair(padding)
    rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    if rows % 2 or columns % 2:
        raise used(node, f"with padding='same' of an even kernel, {kernel[0]}×{kernel[1]}")
    return (rows // 2, columns // 2)


def padding(c: Conversion, node: Node) -> Value:
    """Convert zeros around maps, equally many on both sides: the next convolution takes them in."""
    given = arguments(node)
    value = c.single(given["input"], node)
    mode, filling = given.get("mode", "constant"), given.get("value")
    sides = list(given["pad"])
    if mode != "constant" or filling:
        raise used(node, f"with mode {mode!r}" if mode != "constant" else f"with {filling:g}, not zeros")
    sides += [0] * (6 - len(sides))
    left, right, top, bottom, *others = sides
    if any(others) or min(sides) < 0 or left != right or top != bottom or len(value.shape) != 3:
        raise used(node, f"with {tuple(given['pad'])}, not alike on both sides")
    shape = c.builder.shaped(value, value.shape)
    return Value(shape, value.shape, value.shape, padding=(top, left))


def linear(c: Conversion, node: Node) -> Value:
    """Convert ``linear`` of all of an image's elements."""
    given = arguments(node)
    value = c.single(given["input"], node)
    if math.prod(value.shape) != value.shape[-1]:
        raise used(node, f"on a tensor of shape {('N', *value.shape)}".replace("'", ""))
    features = int(node.shape[-1])
    return c.add(
        node,
        op.Linear,
        (c.builder.shaped(value, (math.prod(value.shape),)),),
        (features,),
        features=features,
        weight=c.weight(given["weight"], node),
        bias=c.weight(given.get("bias"), node),
    )


def batch_norm(c: Conversion, node: Node) -> Value:
    """Convert ``batch_norm``, whose statistics are the batch's in training, else the running ones."""
    given = arguments(node)
    assert node.call is not None
    module = node.call.module
    if node.call.function is not F.batch_norm:
        raise used(node)
    mean, variance = given.get("running_mean"), given.get("running_var")
    if not (isinstance(mean, Operand) and mean.name and isinstance(variance, Operand) and variance.name):
        what = "without running statistics" if mean is None else "with statistics that it computes"
        raise used(node, what)
    training = bool(given.get("training", False))
    if training != c.training:
        mode = "in training" if c.training else "at evaluation"
        raise used(node, f"in {'training' if training else 'evaluation'} mode {mode}")
    value = c.single(given["input"], node)
    shape = graph_shape(value.shape)
    cumulative = isinstance(module, nn.modules.batchnorm._NormBase) and module.momentum is None
    return c.add(
        node,
        op.BatchNorm,
        (c.builder.shaped(value, shape),),
        shape,
        weight=c.weight(given.get("weight"), node),
        bias=c.weight(given.get("bias"), node),
        running_mean=mean.name,
        running_var=variance.name,
        momentum=None if cumulative else float(given.get("momentum", 0.1)),
        eps=float(given.get("eps", 1e-5)),
    )


def activation(c: Conversion, node: Node) -> Value:
    """Convert a function of each element that has no settings."""
    value = c.single(arguments(node)["input"], node)
    return c.elementwise(node, value, op.Activation, function=node.kind)


def with_setting(c: Conversion, node: Node) -> Value:
    """Convert a function of each element with a setting."""
    given = arguments(node)
    value = c.single(given["input"], node)
    fields: dict[str, Any] = {"function": node.kind}
    if node.kind == "leaky_relu":
        fields["slope"] = float(given.get("negative_slope", 0.01))
    elif node.kind in ("elu", "celu"):
        fields |= {"function": "elu", "slope": float(given.get("alpha", 1.0))}
        if node.kind == "celu" and fields["slope"] != 1:
            raise used(node, f"of alpha {fields['slope']:g}")
    elif node.kind == "gelu":
        fields["function"] = "gelu_tanh" if given.get("approximate") == "tanh" else "gelu"
    return c.elementwise(node, value, op.Activation, **fields)


def selu(c: Conversion, node: Node) -> Value:
    """Convert SELU, which is a scaled ELU."""
    value = c.single(arguments(node)["input"], node)
    value = c.elementwise(node, value, op.Activation, function="elu", slope=SELU_ALPHA)
    return c.elementwise(node, value, op.Scale, factor=SELU_SCALE)


def clamp(c: Conversion, node: Node) -> Value:
    """Convert limits of each element, and the ways of writing ReLU and ReLU6 by theirs."""
    given = arguments(node)
    value = c.single(given["input"], node)
    if node.kind == "threshold":
        limits = (0, None) if (given["threshold"], given["value"]) == (0, 0) else (None, None)
    elif node.kind == "hardtanh":
        limits = (given.get("min_val", -1.0), given.get("max_val", 1.0))
    else:
        limits = (given.get("min"), given.get("max"))
    low, high = (_limit(c, node, limit) for limit in limits)
    if limits != (None, None):
        low, high = (None if low == -math.inf else low), (None if high == math.inf else high)
        if (low, high) == (None, None):
            return value
    functions: dict[tuple[float | None, float | None], str] = {(0, None): "relu", (0, 6): "relu6"}
    if (low, high) in functions:
        return c.elementwise(node, value, op.Activation, function=functions[low, high])
    return _between(c, node, value, low, high)


def _limit(c: Conversion, node: Node, limit: Any) -> float | None:
    """Return a limit as a number, which may be infinite; None if there is none."""
    if limit is None:
        return None
    if isinstance(limit, Operand) and limit.number is not None and math.isinf(limit.number):
        return limit.number
    number = c.number(limit, node)
    if number is None or math.isnan(number):
        raise used(node, "with limits that are not numbers")
    return number


def _between(c: Conversion, node: Node, value: Value, low: float | None, high: float | None) -> Value:
    """Convert limits by ReLU: ``x + relu(low - x)``, then ``x - relu(x - high)``.

    Inside the limits x stays the same in every bit, however large they are. A limit below which x may lie
    far, such as 1e-6, would be lost in rounding: ReLU comes before a positive one.
    """
    if low is None and high is None:
        raise used(node)
    for limit in (low, high):
        if limit is not None and abs(limit) > op.MAX_SCALE:
            raise used(node, f"with a limit of {limit:g}")
    if low is not None:
        if low > 0:
            value = c.elementwise(node, value, op.Activation, function="relu")
        missing = c.elementwise(node, value, op.Scale, factor=-1.0, offset=low)
        missing = c.elementwise(node, missing, op.Activation, function="relu")
        value = c.elementwise_of(node, value, op.Add, (value.name, missing.name))
    if high is not None:
        more = c.elementwise(node, value, op.Scale, offset=-high)
        more = c.elementwise(node, more, op.Activation, function="relu")
        more = c.elementwise(node, more, op.Scale, factor=-1.0)
        value = c.elementwise_of(node, value, op.Add, (value.name, more.name))
    return value


def prelu(c: Conversion, node: Node) -> Value:
    """Convert ``prelu``, of one slope or of one for each channel."""
    given = arguments(node)
    value = c.single(given["input"], node)
    weight, shape = c.weight(given["weight"], node), graph_shape(value.shape)
    name = c.builder.shaped(value, shape)
    count = math.prod(c.shapes[weight]) if weight else 0
    return c.add(node, op.Activation, (name,), shape, function="prelu", weight=weight, weights_count=count)


def dropout(c: Conversion, node: Node) -> Value:
    """Convert dropout of elements or channels; idle dropout is left out."""
    given = arguments(node)
    value = c.single(given["input"], node)
    if not given.get("training", True) or not c.training:  # one that stays on at evaluation is off there
        return value
    probability = float(given.get("p", 0.5))
    if probability in (0, 1):
        if probability:
            raise used(node, "of p = 1, which leaves nothing")
        return value
    assert node.call is not None
    channels = node.kind != "dropout" and len(value.shape) > 1
    if channels:
        shape = graph_shape(value.shape)
        name = c.builder.shaped(value, shape)
    else:
        shape, name = value.given, value.name
    return c.add(
        node,
        op.Dropout,
        (name,),
        shape,
        probability=probability,
        channels=channels,
        stream=node.call.dropouts,
    )


def softmax(c: Conversion, node: Node) -> Value:
    """Convert a softmax or log-softmax over the classes; it becomes a node at the end."""
    given = arguments(node)
    value = c.value(given["input"], node, end=True)
    dim, rank = given.get("dim"), len(value.shape) + 1
    if dim is None:
        dim = 0 if rank == 3 else 1  # torch's rule of old
    dim = int(dim) % rank
    if dim == 0:
        raise used(node, "over the images of a batch (dim=0)")
    if value.softmax == "log_softmax" and node.kind == "log_softmax":
        return value
    if value.softmax:
        raise refused(node, f"takes {node.kind} after {value.softmax}")
    if value.expanded or any(value.padding):
        raise used(node, "of padded or expanded maps")
    if value.shape[dim - 1] != CLASSES or math.prod(value.shape) != CLASSES:
        raise used(node, f"over {value.shape[dim - 1]} elements of a tensor of shape {tuple(value.shape)}")
    return Value(value.name, value.given, value.shape, softmax=node.kind)


def log(c: Conversion, node: Node) -> Value:
    """Convert the logarithm of a softmax."""
    value = c.value(arguments(node)["input"], node, end=True)
    if value.softmax != "softmax":
        raise used(node)
    return Value(value.name, value.given, value.shape, softmax="log_softmax")
