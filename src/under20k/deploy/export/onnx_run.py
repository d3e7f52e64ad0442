"""Run exported ONNX files in onnxruntime."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from under20k.deploy.export.onnx_graph import IMAGE, LOGITS, PROBABILITIES
from under20k.deploy.export.proof import ExportError, Measured
from under20k.engine.base import Images
from under20k.recipe.architecture import IMAGE_SIDE

BATCH = 500
TIMED, WARM_UP = 300, 30  # images, one at a time
ERRORS = 3
INT8 = {"int8", "uint8"}
COPIES = {"QuantizeLinear", "DequantizeLinear", "Transpose", "ReorderInput", "ReorderOutput", "Flatten"}
"""Operators that convert or move values."""


def session(path: Path, profile: Path | None = None) -> Any:
    """Return a session of one thread on the CPU; ``profile`` begins the name of a file of what it does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measured(file: Path, uint8_file: Path, images: Images) -> Measured:
    """Return the figures of ``file``, which takes float32, on images, uint8 (N, 28, 28).

    Raises ExportError unless ``uint8_file`` gives the same bits.
    """
    float_session = session(file)
    x = images[:, None]
    logits, probabilities = _outputs(float_session, x.astype(np.float32))
    if not np.array_equal(_outputs(session(uint8_file), x)[0], logits, equal_nan=True):
        raise ExportError(f"{uint8_file.name} and {file.name} give different logits")
    return Measured(
        f"onnxruntime {onnxruntime.__version__}, CPU, 1 thread",
        _latency_s(float_session, x.astype(np.float32)),
        logits,
        probabilities,
    )


def operators(file: Path) -> dict[str, dict[str, int]]:
    """Return how many operators onnxruntime computes in int8, and how many in float, each by its name."""
    with tempfile.TemporaryDirectory() as temporary:
        profiled = session(file, Path(temporary) / "profile")
        profiled.run(None, {IMAGE: np.zeros((1, 1, IMAGE_SIDE, IMAGE_SIDE), np.float32)})
        events = json.loads(Path(profiled.end_profiling()).read_text("utf-8"))
    counts: dict[str, Counter[str]] = {"int8_operators": Counter(), "float_operators": Counter()}
    for event in events:
        if event.get("cat") == "Node" and "output_type_shape" in event["args"]:
            name, outputs = event["args"]["op_name"], event["args"]["output_type_shape"]
            if name not in COPIES:
                in_int8 = any(INT8 & output.keys() for output in outputs)
                counts["int8_operators" if in_int8 else "float_operators"][name] += 1
    return {kind: dict(counter) for kind, counter in counts.items()}


def _outputs(runtime: Any, x: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Return logits and probabilities (N, 10)."""

    def batches() -> Iterator[list[NDArray[np.float32]]]:
        for i in range(0, len(x), BATCH):
            yield runtime.run([LOGITS, PROBABILITIES], {IMAGE: x[i : i + BATCH]})

    return [np.concatenate(parts) for parts in zip(*batches(), strict=True)]


def _latency_s(runtime: Any, x: NDArray[Any]) -> float:
    """Return the median time of one image."""
    times = []
    for i in range(TIMED + WARM_UP):
        start = time.perf_counter()
        runtime.run(None, {IMAGE: x[i % len(x)][None]})
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])
