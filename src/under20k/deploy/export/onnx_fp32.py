"""The format ``onnx``: two files, for images in float32 and in uint8, from 0 to 255.

A graph's input has one type, so each type has a file; apart from the cast, the two are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.deploy.export.formats import Material
from under20k.deploy.export.onnx_graph import INPUT_TYPES, InputType, onnx_model
from under20k.deploy.export.onnx_run import measured
from under20k.deploy.export.proof import Measured
from under20k.deploy.model import Model
from under20k.engine.base import Images

FILES: dict[InputType, str] = {"float": "model.onnx", "uint8": "model-uint8.onnx"}


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write the two files."""
    for kind in INPUT_TYPES:
        (folder / FILES[kind]).write_bytes(onnx_model(model, kind, material.accuracy).SerializeToString())
    return [folder / name for name in FILES.values()]


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Run both files in onnxruntime; the figures are the first one's."""
    return measured({kind: folder / name for kind, name in FILES.items()}, images)
