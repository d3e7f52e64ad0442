"""Any graph of operations in C99, in float: a call of a function for each step.

Maps lie in memory as [row][column][channel]. Shapes: C channels, H rows, W columns; F features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from under20k.deploy.export.c_buffer import Value, placed
from under20k.deploy.export.c_source import float_literal, float_literals, printable, write_files
from under20k.deploy.export.inference import Array, Step, inference_steps
from under20k.deploy.graph import graph_of
from under20k.deploy.model import Model
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.graph.graph import IMAGE
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

FLOAT_BYTES = 4
IN_PLACE = (Activation, BatchNorm, Scale)
"""Operations that may write over what they read."""


@dataclass(frozen=True)
class Table:
    """A constant array."""

    symbol: str
    comment: str
    values: Sequence[str]


def write_graph(model: Model, folder: Path, accuracy: float | None) -> list[Path]:
    """Write a model's files.

    Args:
        model: what to export.
        folder: where to write.
        accuracy: on the validation images, if it is known.
    """
    steps = inference_steps(graph_of(model), model.weights)
    size, offsets = _buffer(steps)
    tables: list[Table] = []
    lines, used = [], set()
    for number, step in enumerate(steps):
        tables += _tables(step, number)
        for function, code in _calls(step, number, offsets, last=step is steps[-1]):
            used.add(function)
            lines.append(code)
    context = {
        "title": "Reads handwritten digits, in float.",
        "buffer_bytes": FLOAT_BYTES * size,
        "tables": tables,
        "lines": lines,
        "uses": lambda *functions: not used.isdisjoint(functions),
        "image_offset": offsets[IMAGE],
        "mean": float_literal(MEAN),
        "standard_deviation": float_literal(STANDARD_DEVIATION),
    }
    return write_files(folder, "graph.c.j2", model, accuracy, context)


def _buffer(steps: Sequence[Step]) -> tuple[int, dict[str, int]]:
    """Return the size of the work buffer and the offset of every value."""
    last = {source: number for number, step in enumerate(steps) for source in step.inputs}
    values = {IMAGE: Value(IMAGE, IMAGE_SIDE**2, -1, last[IMAGE])}
    place = {IMAGE: IMAGE}
    for number, step in enumerate(steps):
        (source, *_) = step.inputs
        over = isinstance(step.node, IN_PLACE) and last[source] == number and source != IMAGE
        place[step.name] = place[source] if over else step.name
        if over:
            held = values[place[source]]
            values[held.name] = replace(held, last=last.get(step.name, number))
        else:
            end = last.get(step.name, number)
            values[step.name] = Value(step.name, math.prod(step.shape), number, end)
    size, offsets = placed(list(values.values()))
    return size, {name: offsets[held] for name, held in place.items()}


def _tables(step: Step, number: int) -> Iterator[Table]:
    """Yield the constant arrays of a step."""
    for part, values in step.arrays.items():
        shape = {
            "weight": _weight_comment(step),
            "slopes": f"{values.size} slopes",
        }.get(part, f"{values.size} channels")
        ordered = _ordered(step, values) if part == "weight" else values
        yield Table(f"{part}_{number}", f"{printable(step.name)}: {shape}", float_literals(ordered))


def _ordered(step: Step, weight: Array) -> Array:
    """Return weights with the outputs last, so that compilers compute several of them at once."""
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def _weight_comment(step: Step) -> str:
    if isinstance(step.node, Convolution):
        rows, columns = step.node.kernel
        inputs = step.input_shapes[0][0] // step.node.groups
        return f"{rows} rows, {columns} columns, {inputs} channels, {step.node.channels} outputs"
    return f"{math.prod(step.input_shapes[0])} features, {step.shape[0]} outputs"


def _calls(step: Step, number: int, offsets: dict[str, int], last: bool) -> Iterator[tuple[str, str]]:
    """Yield the functions of a step and the lines that call them."""
    sources = [f"work + {offsets[source]}" for source in step.inputs]
    out = f"work + {offsets[step.name]}"
    yield "", f"/* {printable(step.name)}: {_shapes(step)} */"
    node, x = step.node, sources[0]
    channels, rows, columns = (*step.input_shapes[0], 1, 1)[:3]
    size = math.prod(step.shape)
    map_ = f"(Map){{{rows}, {columns}, {channels}}}"
    if isinstance(node, Convolution):
        window = _window(node.kernel, node.stride, node.padding, node.dilation)
        arrays = f"weight_{number}, bias_{number}"
        yield "convolve", f"convolve({map_}, {window}, {_result(step)}, {node.groups}, {arrays}, {x}, {out});"
    elif isinstance(node, Linear):
        yield "linear", f"linear({channels}, {size}, weight_{number}, bias_{number}, {x}, {out});"
    elif isinstance(node, BatchNorm):
        arguments = f"{size // channels}, {channels}, factor_{number}, offset_{number}, {x}, {out}"
        yield "scale_channels", f"scale_channels({arguments});"
    elif isinstance(node, Activation):
        yield from _activation(step, number, x, out)
    elif isinstance(node, Pool):
        window = _window(node.kernel, node.stride, node.padding, (1, 1))
        name = "pool_max" if node.kind == "max" else "pool_average"
        extra = "" if node.kind == "max" else f"{int(node.count_padding)}, "
        yield name, f"{name}({map_}, {window}, {_result(step)}, {extra}{x}, {out});"
    elif isinstance(node, AdaptivePool):
        largest = int(node.kind == "max")
        yield "pool_to_size", f"pool_to_size({map_}, {_result(step)}, {largest}, {x}, {out});"
    elif isinstance(node, Scale):
        factor, offset = float_literal(node.factor), float_literal(node.offset)
        yield "scale", f"scale({size}, {factor}, {offset}, {x}, {out});"
    elif isinstance(node, Concatenate):
        width, done = step.shape[0], 0
        positions = size // width
        for source, shape in zip(sources, step.input_shapes, strict=True):
            arguments = f"{positions}, {shape[0]}, {width}, {source}, {out} + {done}"
            yield "copy_channels", f"copy_channels({arguments});"
            done += shape[0]
    elif isinstance(node, Add | Multiply):
        yield from _chain(step, sources, out)
    elif isinstance(node, Reshape):
        yield from _reshape(step, x, out)
    if last:
        yield "", f"for (int i = 0; i < {CLASSES}; i++) logits[i] = work[{offsets[step.name]} + i];"


def _activation(step: Step, number: int, x: str, out: str) -> Iterator[tuple[str, str]]:
    node, size = step.node, math.prod(step.shape)
    assert isinstance(node, Activation)
    if node.function == "prelu":
        channels, several = step.shape[0], int(step.arrays["slopes"].size > 1)
        arguments = f"{size // channels}, {channels}, {several}, slopes_{number}, {x}, {out}"
        yield "prelu", f"prelu({arguments});"
    else:
        slope = f", {float_literal(node.slope)}" if node.function in ("leaky_relu", "elu") else ""
        function = "hyperbolic_tangent" if node.function == "tanh" else node.function  # C has a tanh
        yield node.function, f"for (int i = 0; i < {size}; i++) ({out})[i] = {function}(({x})[i]{slope});"


def _chain(step: Step, sources: list[str], out: str) -> Iterator[tuple[str, str]]:
    """Yield the sums or products of several values, two at a time; (C, 1, 1) repeats over its map."""
    name = "add" if isinstance(step.node, Add) else "multiply"
    channels, size = step.shape[0], math.prod(step.shape)
    widest = next(i for i, shape in enumerate(step.input_shapes) if math.prod(shape) == size)
    x = sources[widest]
    for i, (source, shape) in enumerate(zip(sources, step.input_shapes, strict=True)):
        if i == widest:
            continue
        repeated = int(math.prod(shape) != size)
        yield name, f"{name}({size // channels}, {channels}, {repeated}, {x}, {source}, {out});"
        x = out


def _reshape(step: Step, x: str, out: str) -> Iterator[tuple[str, str]]:
    """Yield the copies from [row][column][channel] to PyTorch's order and back, one buffer long each."""
    before, after = (*step.input_shapes[0], 1, 1)[:3], (*step.shape, 1, 1)[:3]
    yield "reorder", f"reorder({_list(before)}, {_list(after)}, {x}, {out});"


def _window(*pairs: tuple[int, int]) -> str:
    return f"(Window){{{_list([part for pair in pairs for part in pair])}}}"


def _result(step: Step) -> str:
    channels, rows, columns = (*step.shape, 1, 1)[:3]
    return f"(Map){{{rows}, {columns}, {channels}}}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _shapes(step: Step) -> str:
    taken = " and ".join("x".join(map(str, shape)) for shape in step.input_shapes)
    return f"{step.node.op}, {taken} -> {'x'.join(map(str, step.shape))}"
