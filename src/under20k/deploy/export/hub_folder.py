"""The format ``hub-folder``: what ``huggingface_hub.upload_folder`` takes, and ``under20k.load`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from under20k.deploy.export import onnx_fp32, torch_module
from under20k.deploy.export.formats import Material
from under20k.deploy.export.proof import ExportError, Logits, Measured, NotRun
from under20k.deploy.hub_files import HubFiles
from under20k.deploy.model import Model, load
from under20k.engine.base import Images


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write what ``load`` reads, and the files of ``torch`` and ``onnx``."""
    content = HubFiles(
        model.name, model.recipe, model.weights, model.temperature, model.threshold, model.origin
    )
    files = content.write(folder)
    for exporter in (torch_module, onnx_fp32):
        files += exporter.export(model, folder, material)
    return list(dict.fromkeys(files))


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Load the folder, and run its files in PyTorch and onnxruntime; the figures are the worse one's.

    Raises ExportError unless the loaded model gives the same bits.
    """
    expected = model.logits(images)
    if not np.array_equal(load(folder, compute=model.compute).logits(images), expected, equal_nan=True):
        raise ExportError("the model loaded from the folder gives other logits")
    found = {"model.onnx": onnx_fp32.measure(model, folder, images)}
    extra = {}
    try:
        found["model.py"] = torch_module.measure(model, folder, images)
    except NotRun as why:
        extra = {"not run": f"model.py, since {why}"}
    differences = {name: _difference(measured, expected) for name, measured in found.items()}
    first, *others = sorted(found, key=differences.__getitem__, reverse=True)
    for name in others:
        extra = {"also run": f"{name} in {found[name].runtime}, whose logits differ less"}
    return replace(found[first], runtime=f"{first} in {found[first].runtime}", extra=extra)


def _difference(measured: Measured, expected: Logits) -> float:
    assert measured.logits is not None
    difference = float(np.abs(measured.logits - expected).max())
    return difference if np.isfinite(difference) else np.inf
