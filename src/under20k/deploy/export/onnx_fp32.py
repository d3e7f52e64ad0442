"""The format ``onnx``: two files, for images in float32 and in uint8, from 0 to 255."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.deploy.export.formats import Material
from under20k.deploy.export.onnx_graph import finished, for_uint8, logits_graph
from under20k.deploy.export.onnx_run import measured
from under20k.deploy.export.proof import Measured
from under20k.deploy.model import Model
from under20k.engine.base import Images

FILE, UINT8_FILE = "model.onnx", "model-uint8.onnx"


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write the two files; the first takes float32."""
    made = finished(logits_graph(model), model, material.accuracy)
    (folder / FILE).write_bytes(made.SerializeToString())
    (folder / UINT8_FILE).write_bytes(for_uint8(made).SerializeToString())
    return [folder / FILE, folder / UINT8_FILE]


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Run both files in onnxruntime; the figures are the first one's."""
    return measured(folder / FILE, folder / UINT8_FILE, images)
