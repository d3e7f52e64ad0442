"""The format ``c-int8``: a network in C99, in 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.deploy.export.c_run import measured
from under20k.deploy.export.c_source import (
    Geometry,
    buffer_of,
    float_literal,
    integer_literals,
    rendered_layers,
    write_files,
)
from under20k.deploy.export.folded import folded
from under20k.deploy.export.formats import Material
from under20k.deploy.export.int8 import ZERO_PIXEL, QuantizedNetwork, quantised
from under20k.deploy.export.proof import Measured
from under20k.deploy.graph import graph_of
from under20k.deploy.model import Model
from under20k.engine.base import Images
from under20k.errors import UserError

CALIBRATION_IMAGES = 1000


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write ``under20k.c`` and ``under20k.h``."""
    return write(model, network(model, material.training), folder, material.accuracy)


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Compile the C and run it. Raises NotRun without a compiler."""
    return measured(folder, images, 0.0)


def network(model: Model, training: Images) -> QuantizedNetwork:
    """Return the network in integers, calibrated on the first of the training images.

    Raises UserError for a network that is no chain of convolutions.
    """
    chain = folded(graph_of(model), model.weights)
    if chain is None:
        raise UserError(
            f"{model.name} cannot be exported to c-int8, which takes chains of convolutions, ReLU and 2×2 "
            "max pooling that end in global average pooling; export it to c or onnx-int8"
        )
    return quantised(chain, training[:CALIBRATION_IMAGES])


def write(model: Model, network: QuantizedNetwork, folder: Path, accuracy: float | None) -> Sequence[Path]:
    """Write a network's files.

    Args:
        model: where the network comes from.
        network: the network in integers.
        folder: where to write.
        accuracy: the model's, on the validation images, if it is known.
    """
    geometries = [
        Geometry(
            layer.name,
            layer.input_shape,
            layer.weight.shape[1],
            layer.padding,
            1 + layer.pool,
            layer.output_shape,
        )
        for layer in network.layers
    ]
    # Without a frame, the first layer reads the caller's image.
    size, offsets = buffer_of(geometries, image=network.frame > 0)
    numbers = [
        {
            "weights": integer_literals(layer.weight),
            "biases": integer_literals(layer.bias),
            "multipliers": integer_literals(layer.multiplier),
            "shifts": integer_literals(layer.shift),
        }
        for layer in network.layers
    ]
    context = {
        "title": "Reads handwritten digits, in 8-bit integers.",
        "buffer_bytes": size,
        "layers": rendered_layers(geometries, offsets, "oyxi", numbers),
        "frame": network.frame,
        "zero": ZERO_PIXEL,
        "unit": f"1/{2**network.logit_bits}" if network.logit_bits >= 0 else str(2**-network.logit_bits),
        "one": float_literal(2.0**network.logit_bits),
    }
    return write_files(folder, "int8.c.j2", model, accuracy, context)
