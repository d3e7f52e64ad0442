"""The C of an exported model: what its layers are called, where their maps lie, and the text of the files."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from under20k import __version__
from under20k.deploy.export.work_buffer import Map, work_buffer
from under20k.deploy.model import Model
from under20k.formatting import percent

SOURCE, HEADER = "under20k.c", "under20k.h"
WIDTH = 110  # characters of a line
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """What the templates need of a layer beside its numbers."""

    name: str
    symbol: str
    fields: str
    """The integers of its ``Convolution``."""
    input: str
    """Its shape, as text."""
    comment: str
    weights_shape: str
    outputs_shape: str
    offset: int
    """Of its input in the work buffer, in elements."""
    next_offset: int
    """Of its output; 0 for the last layer, which has none there."""
    numbers: Mapping[str, Sequence[str]]
    """Its arrays as text, by the names of the fields."""


@dataclass(frozen=True)
class Geometry:
    """What is known of a layer without its weights; shapes are (channels, rows, columns)."""

    name: str
    input_shape: Shape
    kernel: int
    padding: int
    pool: int
    """Side of the pooled squares: 2, or 1 for none."""
    output_shape: Shape
    """After pooling; of the last layer before the average."""


def buffer_of(layers: Sequence[Geometry], image: bool) -> tuple[int, list[int]]:
    """Return the size of the work buffer and the offset of each layer's input, in elements.

    ``image`` says whether the buffer holds the first layer's input, too; otherwise its offset is 0.
    """
    held = layers if image else layers[1:]
    maps = [
        Map(rows, columns * channels, layer.pool, layer.padding)
        for layer in held
        for channels, rows, columns in [layer.input_shape]
    ]
    found = work_buffer(maps)
    return found.size, [*([] if image else [0]), *found.offsets]


def rendered_layers(
    geometries: Sequence[Geometry],
    offsets: Sequence[int],
    order: str,
    numbers: Iterable[Mapping[str, Sequence[str]]],
) -> list[Layer]:
    """Return the layers for a template.

    Args:
        geometries: of the layers.
        offsets: of their inputs in the work buffer.
        order: of the weights' axes: ``oyxi`` or ``yxio``.
        numbers: the arrays of each layer as text.
    """
    layers = []
    for number, (geometry, offset, next_offset, arrays) in enumerate(
        zip(geometries, offsets, [*offsets[1:], 0], numbers, strict=True)
    ):
        channels, side, _ = geometry.input_shape
        outputs = geometry.output_shape[0]
        axes = {"o": f"{outputs} outputs", "y": f"{geometry.kernel} rows", "x": f"{geometry.kernel} columns"}
        axes["i"] = f"{channels} channel{'s' * (channels > 1)}"
        fields = (side, channels, geometry.kernel, geometry.padding, geometry.pool, outputs)
        layers.append(
            Layer(
                printable(geometry.name.removesuffix(".conv")),
                _symbol(geometry.name, number),
                ", ".join(map(str, fields)),
                _shape(geometry.input_shape),
                _comment(geometry, last=geometry is geometries[-1]),
                ", ".join(axes[axis] for axis in order),
                axes["o"],
                offset,
                next_offset,
                arrays,
            )
        )
    return layers


def _symbol(name: str, number: int) -> str:
    """Return a layer's name in C. A user's own may be a word of C, begin with a digit, or be a variable's."""
    ours = re.fullmatch(r"(blocks\.\d+|head)\.conv", name)
    return ours[1].replace(".", "_") if ours else f"layer_{number}"


def _comment(layer: Geometry, last: bool) -> str:
    after = ["average"] if last else ["ReLU", *["2x2 max pooling"] * (layer.pool == 2)]
    padded = [f"padding {layer.padding}"] * (layer.padding > 0)
    steps = [f"{layer.kernel}x{layer.kernel} convolution", *padded]
    output = (layer.output_shape[0], 1, 1) if last else layer.output_shape
    return f"{_shape(layer.input_shape)} -> {_shape(output)}: {', '.join([*steps, *after])}"


def _shape(shape: Shape) -> str:
    channels, height, width = shape
    return f"{height}x{width}x{channels}"


def write_files(
    folder: Path, template: str, model: Model, accuracy: float | None, context: Mapping[str, Any]
) -> list[Path]:
    """Write the two files, and return them.

    Args:
        folder: where.
        template: the name of the template of the ``.c``.
        model: what is exported.
        accuracy: on the validation images, if it is known.
        context: what the templates need beside the model.
    """
    values = {
        "facts": _facts(model, accuracy),
        "temperature": float_literal(model.temperature),
        **context,
    }
    paths = []
    for name, source in ((SOURCE, template), (HEADER, f"{HEADER}.j2")):
        text = _environment().get_template(source).render(values)
        (folder / name).write_text(text, "utf-8", newline="\n")
        paths.append(folder / name)
    return paths


def _facts(model: Model, accuracy: float | None) -> list[str]:
    name, architecture = printable(model.recipe.name), model.recipe.architecture
    license = model.origin.license if model.origin else None
    facts = [
        f"Model {name}: {architecture.parameters:,} parameters, {architecture}",
        *([] if accuracy is None else [f"Validation accuracy before the export: {percent(accuracy)}"]),
        f"Written by under20k {__version__}.{f' {license} licence.' if license else ''}",
    ]
    return [line for fact in facts for line in textwrap.wrap(fact, WIDTH - 6, break_on_hyphens=False)]


def printable(text: str) -> str:
    """Return text that cannot end a comment, nor surprise a compiler in one."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in " -_.,+") else "_" for sign in text)


def float_literal(value: float) -> str:
    """Return a C literal of a float32, to the bit."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def float_literals(values: NDArray[np.float64]) -> list[str]:
    """Return C literals of the values as float32."""
    return [float_literal(value) for value in values.ravel()]


def integer_literals(values: NDArray[np.int64]) -> list[str]:
    """Return C literals."""
    return [str(value) for value in values.ravel()]


def _lines(values: Sequence[str]) -> str:
    return textwrap.fill(", ".join(values), WIDTH, initial_indent="    ", subsequent_indent="    ")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("under20k.deploy.export"),
        autoescape=False,  # C, whose text is ours; names go through printable
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["lines"] = _lines
    return environment
