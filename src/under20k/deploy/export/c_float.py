"""The format ``c``: a network in C99, in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.deploy.export.c_graph import write_graph
from under20k.deploy.export.c_run import measured
from under20k.deploy.export.c_source import (
    Geometry,
    buffer_of,
    float_literal,
    float_literals,
    rendered_layers,
    write_files,
)
from under20k.deploy.export.folded import folded
from under20k.deploy.export.formats import Material
from under20k.deploy.export.forward import averaged_last
from under20k.deploy.export.proof import Measured
from under20k.deploy.graph import graph_of
from under20k.deploy.model import Model
from under20k.engine.base import MEAN, STANDARD_DEVIATION, Images

FLOAT_BYTES = 4
CORTEX_M4_DIFFERENCE = 1e-6
"""Its compiler may round a product and a sum once instead of twice."""


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write ``under20k.c`` and ``under20k.h``."""
    chain = folded(graph_of(model), model.weights)
    if chain is None:
        return write_graph(model, folder, material.accuracy)
    network = averaged_last(chain)
    geometries = [
        Geometry(
            layer.name,
            layer.input_shape,
            layer.weight.shape[-1],
            layer.padding,
            1 + layer.pool,
            layer.output_shape,
        )
        for layer in network
    ]
    size, offsets = buffer_of(geometries, image=True)
    numbers = [
        {
            # The outputs last, so that compilers compute several of them at once.
            "weights": float_literals(layer.weight.transpose(2, 3, 1, 0)),
            "biases": float_literals(layer.bias),
        }
        for layer in network
    ]
    context = {
        "title": "Reads handwritten digits, in float.",
        "buffer_bytes": FLOAT_BYTES * size,
        "layers": rendered_layers(geometries, offsets, "yxio", numbers),
        "most_outputs": max(layer.output_shape[0] for layer in network),
        "mean": float_literal(MEAN),
        "standard_deviation": float_literal(STANDARD_DEVIATION),
    }
    return write_files(folder, "float.c.j2", model, material.accuracy, context)


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Compile the C and run it. Raises NotRun without a compiler."""
    return measured(folder, images, CORTEX_M4_DIFFERENCE)
