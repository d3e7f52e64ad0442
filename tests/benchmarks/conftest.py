"""What the benchmarks' tests share. They look at what is measured and written, never at how long it took."""

import os
from typing import Any

import pytest

from benchmarks.amount import Amount
from under20k.engine.isa import unavailable

if (reason := unavailable()) and os.environ.get("CI") != "true":
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="session")
def tiny() -> Amount:
    """As little as every part can do."""
    return Amount(
        rounds=2,
        images=200,
        evaluated=60,
        batch=20,
        single=2,
        compile=False,
        peak_s=1e-3,
        kernel_s=1e-5,
        train=("minimal", "--architecture", "1p,2p|l", "--batch-size", "5000", "--epochs", "1"),
    )


@pytest.fixture
def example() -> dict[str, Any]:
    """A benchmark's JSON with every part, its numbers chosen to be worked out by hand."""
    times = {
        "native fp32": [2.0, 1.0, 4.0],
        "native fp32, 1 thread": [4.0, 2.0, 8.0],
        "torch eager": [20.0, 8.0, 36.0],  # 10, 8 and 9 times
        "plain script": [22.0, 13.0, 48.0],  # 11, 13 and 12 times
    }
    recipe = {
        "flop": 240_000_000_000,
        "times_s": times,
        "peak_gflops": [240.0, 200.0, 100.0],  # of which the highest counts
        "unavailable": {"native bf16": "not on this CPU"},
    }
    return {
        "command": "python -m benchmarks",
        "date": "2026-01-02",
        "quick": False,
        "amount": {"rounds": 3},
        "parts": {
            "machine": {
                "processor": "Abacus",
                "system": "Linux x86_64",
                "cores": 2,
                "instruction_sets": ["avx2", "fma"],
                "native_instruction_set": "avx2",
                "native_build": "0123456789abcdef",
                "under20k": "0.1.0",
                "git": None,
                "python": "3.11.7",
                "packages": {"numpy": "2.0.0", "torch": "2.13.0", "onnxruntime": None},
                "load_before": 0.25,
                "peak_gflops": {"1": [100.0, 120.0, 110.0], "2": [200.0, 210.0, 190.0]},
                "epoch_flop": {"minimal": 426_000_000_000, "regularized": 547_000_000_000},
            },
            "epoch": {"images": 50_000, "threads": 2, "recipes": {"minimal": recipe, "regularized": recipe}},
            "students": {
                "images": 50_000,
                "threads": 2,
                "models": {
                    name: {"parameters": 1_234, "times_s": {"native": [1.0] * 3, "torch eager": [eager] * 3}}
                    for name, eager in (("small", 2.5), ("deep", 8.0), ("wide", 6.5))
                },
            },
            "scaling": {
                "recipe": "minimal",
                "epochs": 8,
                "threads_s": {"1": [4.0, 2.0, 8.0], "2": [2.0, 1.25, 4.0]},  # 2, 1.6 and 2 times
                "processes_s": {"1": [4.5, 4.5, 9.0], "2": [5.0, 4.5, 10.0]},  # 2 · 0.9, 2 · 1, 2 · 0.9
            },
            "evaluation": {
                "recipe": "minimal",
                "threads": 2,
                "batch": 1_000,
                "evaluated": 10_000,
                "evaluation_s": {
                    "native": [0.1, 0.2, 0.1],
                    "ONNX Runtime": [0.3, 0.6, 0.2],  # 3, 3 and 2 times
                    "torch eager": [0.5, 0.5, 0.5],
                    "torch channels_last": [0.4, 0.2, 0.15],  # the fastest: 4, 1 and 1.5 times
                },
                "batch_s": {
                    "native": [0.01, 0.01, 0.01],
                    "ONNX Runtime": [0.03, 0.03, 0.03],
                    "torch eager": [0.02, 0.02, 0.02],
                    "torch channels_last": [0.04, 0.04, 0.04],
                },
                "one_image_s": {
                    "native": [1e-4, 1e-4, 1e-4],
                    "ONNX Runtime": [5e-5, 5e-5, 5e-5],
                    "torch eager": [3e-4, 3e-4, 3e-4],
                    "torch channels_last": [4e-4, 4e-4, 4e-4],
                },
                "unavailable": {"torch compile": "left out"},
            },
            "inference": {
                "model": "minimal",
                "threads": 2,
                "batch": 1_000,
                "one_image_s": {
                    "native": [2e-5, 1e-5, 4e-5],
                    "torch eager": [5e-4, 4e-4, 6e-4],
                    "torch channels_last": [1e-3, 1e-3, 1e-3],
                    "ONNX fp32, onnxruntime": [1e-4, 1e-4, 1e-4],
                },
                "batch_s": {
                    "native": [0.01, 0.01, 0.02],
                    "torch eager": [0.2, 0.2, 0.2],
                    "torch channels_last": [0.1, 0.1, 0.1],
                    "ONNX fp32, onnxruntime": [0.04, 0.05, 0.05],
                },
                "unavailable": {"C float, gcc -O3": "gcc is not installed", "torch compile": "left out"},
            },
            "process": {
                "command": "under20k train minimal",
                "start_s": [0.5, 0.7, 0.6],
                "peak_bytes": [100_000_000, 401_000_000, 200_000_000],
                "torch": False,
            },
            "kernels": {
                "instruction_set": "avx2",
                "peak_gflops": [100.0, 80.0, 120.0],
                "rows": [
                    {
                        "recipe": "minimal",
                        "pass": which,
                        "name": "blocks.0.conv",
                        "inputs": 1,
                        "outputs": 8,
                        "kernel": 3,
                        "side": 28,
                        "output_side": 28,
                        "gflops": gflops,
                    }
                    for which, gflops in (("forward", [50.0, 60.0, 70.0]), ("weight gradient", [20.0] * 3))
                ],
            },
        },
    }
