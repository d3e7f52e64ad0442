"""The format ``hub-folder``: what ``huggingface_hub.upload_folder`` takes, and ``under20k.load`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from under20k.data import Split
from under20k.deploy.export import onnx_fp32, torch_module
from under20k.deploy.export.formats import Material
from under20k.deploy.export.proof import ExportError, Measured, NotRun, prove
from under20k.deploy.export.tolerance import FP32
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
    """Load the folder, and run its files in PyTorch and onnxruntime; the figures are PyTorch's.

    Raises ExportError unless the loaded model gives the same bits, and ONNX is within the tolerance, too.
    """
    expected = model.logits(images)
    if not np.array_equal(load(folder, compute=model.compute).logits(images), expected, equal_nan=True):
        raise ExportError("the model loaded from the folder gives other logits")
    onnx = onnx_fp32.measure(model, folder, images)
    # The labels do not matter here: the accuracy is judged by PyTorch's figures.
    split = Split("validation", images, expected.argmax(1).astype(np.uint8))
    proof = prove("onnx", model, onnx, split, size_bytes=0, tolerance=FP32)
    if proof.faults:
        raise ExportError(f"{onnx_fp32.FILE} fails: {'; '.join(proof.faults)}")
    try:
        torch = torch_module.measure(model, folder, images)
    except NotRun as why:
        return replace(onnx, extra={"not run": f"{torch_module.FILE}: {why}"})
    difference = f"{proof.largest_logit_difference:.1e} of the logits' range"
    also = f"{onnx_fp32.FILE} in {onnx.runtime}, largest difference of a logit {difference}"
    return replace(torch, extra={"also run": also})
