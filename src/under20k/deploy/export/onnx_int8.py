"""The format ``onnx-int8``: the files of ``onnx``, quantised by onnxruntime.

Static quantisation: weights in int8 with a scale for each output channel, activations in uint8 with ranges
from training images, written as pairs of QuantizeLinear and DequantizeLinear. Each runtime decides which
operators between such pairs it computes in int8; what onnxruntime did is in the proof.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from under20k.deploy.export.formats import Material
from under20k.deploy.export.onnx_graph import IMAGE, finished, for_uint8, logits_graph
from under20k.deploy.export.onnx_run import measured, operators
from under20k.deploy.export.proof import Measured
from under20k.deploy.model import Model
from under20k.engine.base import Images

FILE, UINT8_FILE = "model-int8.onnx", "model-int8-uint8.onnx"
CALIBRATION_IMAGES, BATCH = 5000, 500
QUANTISED = ["Conv", "Relu", "MaxPool", "GlobalAveragePool"]
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}
"""Tells the quantiser that the graph is optimised and has its shapes, as it does."""


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write the two files; the first takes float32."""
    # Without the softmax, at which onnxruntime 1.18 fails unless it is to be quantised.
    graph = quantised(logits_graph(model), material.training[:CALIBRATION_IMAGES])
    made = finished(graph, model, material.accuracy)
    (folder / FILE).write_bytes(made.SerializeToString())
    (folder / UINT8_FILE).write_bytes(for_uint8(made).SerializeToString())
    return [folder / FILE, folder / UINT8_FILE]


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Run both files in onnxruntime; the figures are the first one's."""
    found = measured(folder / FILE, folder / UINT8_FILE, images)
    return replace(found, extra=operators(folder / FILE))


def quantised(graph: onnx.ModelProto, images: Images) -> onnx.ModelProto:
    """Return a graph with its convolutions and poolings quantised for int8; the images are for calibration.

    Weights take 7 of their 8 bits: processors without VNNI add two products in 16 bits, where full weights
    overflow.
    """
    helper.set_model_props(graph, PREPARED)
    with tempfile.TemporaryDirectory() as temporary:
        before, after = (Path(temporary) / name for name in ("float.onnx", "int8.onnx"))
        before.write_bytes(graph.SerializeToString())
        quantize_static(
            before,
            after,
            _Batches(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(after)


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, images: Images) -> None:
        starts = range(0, len(images), BATCH)
        self.batches = (images[i : i + BATCH, None].astype(np.float32) for i in starts)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {IMAGE: batch}
