"""The operations of a network in ONNX: each step of inference as nodes that have the name of its result.

Shapes: N images, C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from under20k.deploy.export.inference import Array, Step
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.graph.operations import (
    Activation,
    AdaptivePool,
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Linear,
    Multiply,
    Pool,
    Reshape,
    Scale,
)

SIMPLE = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "hardswish": "HardSwish"}
"""Functions that ONNX has as they are."""
SQRT_HALF, GELU_FACTOR, GELU_CUBE = 0.5**0.5, (2 / np.pi) ** 0.5, 0.044715


class Writer:
    """Collects the nodes and constants of a graph. A node has the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._names: set[str] = set()

    def node(self, operator: str, name: str, *inputs: str, **attributes: object) -> str:
        """Add a node and return its name."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: NDArray[np.generic] | np.float32) -> str:
        """Add a constant, once for a name, and return its name."""
        if name not in self._names:
            self._names.add(name)
            self.tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, name: str, value: float) -> str:
        """Add a constant float32 and return its name."""
        return self.constant(name, np.float32(value))

    def floats(self, name: str, values: Array) -> str:
        """Add a constant array of float32 and return its name."""
        return self.constant(name, values.astype(np.float32))


def write_step(writer: Writer, step: Step, inputs: list[str], name: str) -> str:
    """Add the nodes of a step.

    Args:
        writer: takes them.
        step: what to compute.
        inputs: names of the values that it takes.
        name: of its result.
    """
    _WRITERS[type(step.node)](writer, step, inputs, name)
    return name


def _convolution(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    node = step.node
    assert isinstance(node, Convolution)
    attributes: dict[str, object] = {"kernel_shape": node.kernel, "pads": [*node.padding, *node.padding]}
    if node.stride != (1, 1):
        attributes["strides"] = node.stride
    if node.dilation != (1, 1):
        attributes["dilations"] = node.dilation
    if node.groups > 1:
        attributes["group"] = node.groups
    writer.node("Conv", name, *inputs, *_weights(writer, step, name), **attributes)


def _linear(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    writer.node("Gemm", name, *inputs, *_weights(writer, step, name), transB=1)


def _batch_norm(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    factor, offset = (_by_channel(step.arrays[key], step.shape) for key in ("factor", "offset"))
    scaled = writer.node("Mul", f"{name}.scaled", *inputs, writer.floats(f"{name}.factor", factor))
    writer.node("Add", name, scaled, writer.floats(f"{name}.offset", offset))


def _activation(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    node, (x,) = step.node, inputs
    assert isinstance(node, Activation)
    if node.function in SIMPLE:
        writer.node(SIMPLE[node.function], name, x)
    elif node.function == "relu6":
        writer.node("Clip", name, x, writer.number(f"{name}.zero", 0), writer.number(f"{name}.six", 6))
    elif node.function == "leaky_relu":
        writer.node("LeakyRelu", name, x, alpha=node.slope)
    elif node.function == "elu":
        writer.node("Elu", name, x, alpha=node.slope)
    elif node.function == "hardsigmoid":
        writer.node("HardSigmoid", name, x, alpha=1 / 6, beta=0.5)
    elif node.function == "rsqrt":
        writer.node("Reciprocal", name, writer.node("Sqrt", f"{name}.root", x))
    elif node.function == "prelu":
        slopes = _by_channel(step.arrays["slopes"], step.shape)
        writer.node("PRelu", name, x, writer.floats(f"{name}.slopes", slopes))
    elif node.function == "silu":
        writer.node("Mul", name, x, writer.node("Sigmoid", f"{name}.gate", x))
    else:
        _gelu(writer, node.function, x, name)


def _gelu(writer: Writer, function: str, x: str, name: str) -> None:
    """Add x · Φ(x), which ONNX has from opset 20 on."""
    if function == "gelu":
        inner = writer.node("Mul", f"{name}.inner", x, writer.number(f"{name}.sqrt_half", SQRT_HALF))
        bent = writer.node("Erf", f"{name}.erf", inner)
    else:
        square = writer.node("Mul", f"{name}.square", x, x)
        cube = writer.node("Mul", f"{name}.cube", square, writer.number(f"{name}.cube_factor", GELU_CUBE))
        sum_ = writer.node("Add", f"{name}.sum", cube, writer.number(f"{name}.one", 1))
        scaled = writer.node("Mul", f"{name}.scaled", sum_, writer.number(f"{name}.gelu_factor", GELU_FACTOR))
        bent = writer.node("Tanh", f"{name}.tanh", writer.node("Mul", f"{name}.inner", scaled, x))
    raised = writer.node("Add", f"{name}.raised", bent, writer.number(f"{name}.one", 1))
    half = writer.node("Mul", f"{name}.half", x, writer.number(f"{name}.a_half", 0.5))
    writer.node("Mul", name, half, raised)


def _pool(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    node = step.node
    assert isinstance(node, Pool)
    attributes: dict[str, object] = {"kernel_shape": node.kernel, "strides": node.stride}
    if node.padding != (0, 0):
        attributes["pads"] = [*node.padding, *node.padding]
    if node.ceil:
        attributes["ceil_mode"] = 1
    if node.kind == "average" and node.padding != (0, 0):
        attributes["count_include_pad"] = int(node.count_padding)
    writer.node("MaxPool" if node.kind == "max" else "AveragePool", name, *inputs, **attributes)


def _adaptive_pool(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    node, (x,) = step.node, inputs
    assert isinstance(node, AdaptivePool)
    sides = step.input_shapes[0][1:]
    kind = "Max" if node.kind == "max" else "Average"
    if node.size == (1, 1):
        writer.node(f"Global{kind}Pool", name, x)
    elif all(side % outputs == 0 for side, outputs in zip(sides, node.size, strict=True)):
        kernel = [side // outputs for side, outputs in zip(sides, node.size, strict=True)]
        writer.node(f"{kind}Pool", name, x, kernel_shape=kernel, strides=kernel)
    else:
        rows = _reduced_axis(writer, node, x, f"{name}.rows", 2, sides[0])
        _reduced_axis(writer, node, rows, name, 3, sides[1])


def _reduced_axis(writer: Writer, node: AdaptivePool, x: str, name: str, axis: int, side: int) -> str:
    """Add an adaptive pooling along one axis, window by window."""
    outputs = node.size[axis - 2]
    parts = []
    for i in range(outputs):
        bounds = (i * side // outputs, -(-(i + 1) * side // outputs))
        start, end = (writer.constant(f"int64.{at}", np.array([at], np.int64)) for at in bounds)
        axes = writer.constant(f"int64.{axis}", np.array([axis], np.int64))
        part = writer.node("Slice", f"{name}.window.{i}", x, start, end, axes)
        operator = "ReduceMax" if node.kind == "max" else "ReduceMean"
        parts.append(writer.node(operator, f"{name}.{i}", part, axes=[axis], keepdims=1))
    return writer.node("Concat", name, *parts, axis=axis)


def _chain(operator: str) -> Callable[[Writer, Step, list[str], str], None]:
    """Return what adds an operation on two values as one on several."""

    def write(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
        first, *rest = inputs
        for i, other in enumerate(rest, 1):
            first = writer.node(operator, name if i == len(rest) else f"{name}.{i}", first, other)

    return write


def _concatenate(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    writer.node("Concat", name, *inputs, axis=1)


def _scale(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    node = step.node
    assert isinstance(node, Scale)
    scaled = writer.node("Mul", f"{name}.scaled", *inputs, writer.number(f"{name}.factor", node.factor))
    writer.node("Add", name, scaled, writer.number(f"{name}.offset", node.offset))


def _reshape(writer: Writer, step: Step, inputs: list[str], name: str) -> None:
    if len(step.shape) == 1:
        writer.node("Flatten", name, *inputs, axis=1)
    else:
        shape = writer.constant(f"{name}.shape", np.array([-1, *step.shape], np.int64))
        writer.node("Reshape", name, *inputs, shape)


def _weights(writer: Writer, step: Step, name: str) -> list[str]:
    """Add the weight and the bias of a step and return their names."""
    return [writer.floats(f"{name}.{part}", step.arrays[part]) for part in ("weight", "bias")]


def _by_channel(values: Array, shape: Shape) -> Array:
    """Return values by channel in a shape that ONNX repeats over rows and columns."""
    return values.reshape(-1, *[1] * (len(shape) - 1))


_WRITERS: dict[type[Node], Callable[[Writer, Step, list[str], str], None]] = {
    Convolution: _convolution,
    Linear: _linear,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Pool: _pool,
    AdaptivePool: _adaptive_pool,
    Add: _chain("Add"),
    Multiply: _chain("Mul"),
    Concatenate: _concatenate,
    Scale: _scale,
    Reshape: _reshape,
}


def write_steps(writer: Writer, steps: Iterable[Step], names: dict[str, str]) -> None:
    """Add the nodes of all steps.

    Args:
        writer: takes them.
        steps: in order of computation.
        names: in the ONNX graph by those of the steps, where they differ.
    """
    for step in steps:
        inputs = [names.get(source, source) for source in step.inputs]
        write_step(writer, step, inputs, names.get(step.name, step.name))
