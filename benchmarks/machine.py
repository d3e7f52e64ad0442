"""The machine, its peak measured on the spot, and the arithmetic that an epoch takes."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.amount import Amount, cores_used
from benchmarks.arithmetic import epoch_flop
from benchmarks.peak import fma_peak
from benchmarks.turns import in_turns
from under20k import __version__
from under20k.engine.isa import instruction_set
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.provenance import git_hash, native_build, processor

PACKAGES = ("numpy", "torch", "onnxruntime", "onnx", "onnxscript", "pillow")
INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "asimd", "bf16")


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values; GFLOP/s turn by turn."""
    cores = cores_used()
    peaks = {1: lambda: fma_peak(1, amount.peak_s), cores: lambda: fma_peak(cores, amount.peak_s)}
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "instruction_sets": processor_flags(),
        "native_instruction_set": instruction_set(),
        "native_build": native_build(),
        "under20k": __version__,
        "git": git_hash(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "peak_gflops": in_turns({str(n): peak for n, peak in peaks.items()}, amount.rounds, tell),
        "epoch_flop": {recipe.name: epoch_flop(recipe.in_notation) for recipe in (MINIMAL, REGULARIZED)},
    }


def processor_flags() -> list[str]:
    """Those of the processor's instruction sets that matter here, by Linux's names; elsewhere none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    return [name for name in INSTRUCTION_SETS if name in flags]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
