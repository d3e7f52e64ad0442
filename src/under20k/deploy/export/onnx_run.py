"""Run exported ONNX files in onnxruntime."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from under20k.deploy.export.onnx_graph import InputType
from under20k.deploy.export.proof import ExportError, Measured
from under20k.engine.base import Images

DTYPES = {"float": np.float32, "uint8": np.uint8}
BATCH = 500
TIMED, WARM_UP = 300, 30  # images, one at a time


def session(path: Path) -> onnxruntime.InferenceSession:
    """Return a session of one thread on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measured(files: Mapping[InputType, Path], images: Images) -> Measured:
    """Return the first file's figures on images, uint8 (N, 28, 28); the size is its size.

    Raises ExportError unless the files of the other input types give the same bits.
    """
    outputs, latencies_s = {}, {}
    for kind, path in files.items():
        runtime = session(path)
        x = images[:, None].astype(DTYPES[kind])
        outputs[kind] = [
            np.concatenate(parts)
            for parts in zip(
                *(
                    runtime.run(["logits", "probabilities"], {"image": x[i : i + BATCH]})
                    for i in range(0, len(x), BATCH)
                ),
                strict=True,
            )
        ]
        latencies_s[kind] = latency_s(runtime, x)
    (first, (logits, probabilities)), *others = outputs.items()
    for kind, (theirs, _) in others:
        if not np.array_equal(theirs, logits):
            raise ExportError(f"{files[kind].name} gives other logits than {files[first].name}")
    return Measured(
        f"onnxruntime {onnxruntime.__version__}, CPU, 1 thread",
        latencies_s[first],
        logits,
        probabilities,
        size_bytes=files[first].stat().st_size,
    )


def latency_s(runtime: Any, x: np.ndarray[Any, Any]) -> float:
    """Return the median time of one image."""
    times = []
    for i in range(TIMED + WARM_UP):
        start = time.perf_counter()
        runtime.run(None, {"image": x[i % len(x)][None]})
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])
