"""Compile exported C for this machine and run it."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.deploy.export import cortex_m4
from under20k.deploy.export.c_source import HEADER, SOURCE
from under20k.deploy.export.proof import ExportError, Measured, NotRun
from under20k.engine.base import Images
from under20k.recipe.architecture import CLASSES

COMPILERS = ("cc", "gcc", "clang")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SHARED = ("-O3", "-shared", "-fPIC")
TIMED, WARM_UP = 300, 30  # images, one at a time
COMPILE_TIME_S = 300


def compiler(extra: Mapping[str, Any] | None = None) -> list[str]:
    """Return the C compiler's command: the one that CC names, or the first of the usual.

    Raises NotRun, with ``extra``, if there is none.
    """
    named = shlex.split(os.environ.get("CC", ""))
    for command in [named] if named else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    looked_for = f"{named[0]}, which CC names" if named else f"none of {', '.join(COMPILERS)}"
    raise NotRun(f"no C compiler was found ({looked_for})", extra)


def measured(folder: Path, images: Images, cortex_m4_difference: float) -> Measured:
    """Return what the C in ``folder`` gives, on this machine and on a Cortex-M4.

    Args:
        folder: with the two files.
        images: uint8 (N, 28, 28).
        cortex_m4_difference: by which a logit may differ there, as a fraction of the logits' range.

    Raises:
        NotRun: there is no compiler for this machine.
        ExportError: the C does not compile, or gives different results in different ways.
    """
    extra: dict[str, Any] = {"work_buffer_bytes": work_buffer_bytes(folder)}
    command = compiler(extra)
    with tempfile.TemporaryDirectory() as temporary:
        shared = Path(temporary) / "under20k.so"
        _compile([*command, *WARNINGS, *SHARED, str(folder / SOURCE), "-o", str(shared)])
        library = ctypes.CDLL(str(shared))
        logits, probabilities = _outputs(library, images)
        latency_s = _latency_s(library.under20k_digit, images)
    runtime = f"{_version(command)}, -O3, 1 thread"
    extra |= cortex_m4.extra(folder, images, logits, cortex_m4_difference)
    return Measured(runtime, latency_s, logits, probabilities, extra=extra)


def work_buffer_bytes(folder: Path) -> int:
    """Return the size of the work buffer that the header states."""
    lines = (folder / HEADER).read_text("utf-8").splitlines()
    return next(int(line.split()[2]) for line in lines if line.startswith("#define UNDER20K_WORK_BUFFER "))


def _outputs(library: Any, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits and probabilities (N, 10). Raises ExportError if a digit is not the most probable one."""
    logits, probabilities = (np.empty((len(images), CLASSES), np.float32) for _ in range(2))
    digits = np.empty(len(images), np.int64)
    images = np.ascontiguousarray(images)
    for i, image in enumerate(images):
        library.under20k_logits(_address(image), _address(logits[i]))
        digits[i] = library.under20k_digit(_address(image), _address(probabilities[i]))
    if not np.array_equal(digits, logits.argmax(1)):
        raise ExportError("under20k_digit returns a digit that has not the largest logit")
    return logits, probabilities


def _latency_s(digit: Callable[..., int], images: Images) -> float:
    """Return the median time of one image, with the 1 µs or so that calling from Python takes."""
    probabilities = np.empty(CLASSES, np.float32)
    times = []
    for i in range(TIMED + WARM_UP):
        image, result = _address(images[i % len(images)]), _address(probabilities)
        start = time.perf_counter()
        digit(image, result)
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _compile(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMPILE_TIME_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRun(f"{command[0]} did not run: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ExportError(f"{command[0]} does not compile the C: {said[0] if said else done.returncode}")


def _version(command: list[str]) -> str:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, errors="replace")
    return (done.stdout.splitlines() or [" ".join(command)])[0]
