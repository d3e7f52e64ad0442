"""Exported C on a Cortex-M4: compiled by Arm's GCC, run in QEMU without an operating system.

The processor has a floating-point unit. Flash and RAM are those of the whole firmware (firmware/): network,
weights, the start-up code and the printing of results, but not the images.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.deploy.export.c_source import SOURCE
from under20k.deploy.export.proof import ExportError, NotRun
from under20k.engine.base import Images
from under20k.recipe.architecture import CLASSES

NAME = "Cortex-M4"
"""Key of what the proof says of it."""
GCC, SIZE, QEMU = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
PROCESSOR = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
FLAGS = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-O2",
    "-ffunction-sections",
    "-fdata-sections",
)
FIRMWARE = Path(__file__).with_name("firmware")
BOARD = "mps2-an386"
INSTRUCTIONS_PER_TICK = 40  # of 25 MHz, at 1 ns an instruction
IMAGES = 100
TIME_S = 300


@dataclass(frozen=True)
class Measured:
    """What the firmware took and gave."""

    flash_bytes: int
    ram_bytes: int
    """With the stack at its deepest."""
    instructions: int
    """Of one image, on average."""
    digits: NDArray[np.int64]
    """(N,)."""
    logits: NDArray[np.float32]
    """(N, 10)."""


def missing() -> list[str]:
    """Return the programs that are needed and not installed."""
    return [program for program in (GCC, SIZE, QEMU) if shutil.which(program) is None]


def measure(folder: Path, images: Images) -> Measured:
    """Run the C in ``folder`` on images, uint8 (N, 28, 28).

    Raises NotRun if a program fails, and ExportError if what ran printed no results.
    """
    with tempfile.TemporaryDirectory() as temporary:
        where = Path(temporary)
        (where / "images.bin").write_bytes(np.ascontiguousarray(images).tobytes())
        sources = [str(FIRMWARE / "images.s"), str(FIRMWARE / "firmware.c"), str(folder.resolve() / SOURCE)]
        link = (
            "-nostartfiles",
            "--specs=nosys.specs",
            "-Wl,--gc-sections",
            "-T",
            str(FIRMWARE / "firmware.ld"),
        )
        include = ("-I", str(folder.resolve()))
        _run([GCC, *PROCESSOR, *FLAGS, *include, *sources, *link, "-o", "firmware.elf"], where)
        sections = _sections(_run([SIZE, "-A", "firmware.elf"], where))
        # No timer but the count of instructions, so that it is the same on every machine.
        board = ("-M", BOARD, "-icount", "shift=0", "-semihosting-config", "enable=on,target=native")
        nothing = ("-display", "none", "-monitor", "none", "-serial", "none")
        printed = _run([QEMU, *board, *nothing, "-kernel", "firmware.elf"], where)
    try:
        *rows, (stack,) = ([int(word, 16) for word in line.split()] for line in printed.splitlines())
        table = np.array(rows, np.uint32).reshape(len(images), 2 + CLASSES)
    except ValueError:
        raise ExportError(f"the firmware for Cortex-M4 printed {printed[-60:]!r}") from None
    return Measured(
        sections[".text"] + sections[".data"],
        sections[".data"] + sections[".bss"] + stack,
        round(INSTRUCTIONS_PER_TICK * float(table[:, 1].mean())),
        table[:, 0].astype(np.int64),
        np.ascontiguousarray(table[:, 2:]).view(np.float32),
    )


def extra(
    folder: Path, images: Images, logits: NDArray[np.float32], largest_difference: float
) -> dict[str, Any]:
    """Return what the proof says of a Cortex-M4: figures, or why it was not run.

    Args:
        folder: of the C.
        images: uint8 (N, 28, 28); the first ``IMAGES`` of them are run.
        logits: what this machine computes, (N, 10).
        largest_difference: by which a logit may differ from them, as a fraction of their range.

    Raises:
        ExportError: it computes something else.
    """
    if absent := missing():
        return {NAME: f"not run: there is no {' or '.join(absent)}"}
    images, logits = images[:IMAGES], logits[:IMAGES]
    try:
        found = measure(folder, images)
    except NotRun as why:
        return {NAME: f"not run: {why}"}
    difference = float(np.abs(found.logits - logits).max() / (np.ptp(logits) or 1))
    right = int((found.digits == logits.argmax(1)).sum())
    if right < len(images) or not difference <= largest_difference:
        raise ExportError(
            f"on a Cortex-M4, {right} of {len(images)} digits are as on this machine, and a logit differs by "
            f"{difference:.2g} of their range; at most {largest_difference:g} is allowed"
        )
    return {
        NAME: {
            "digits_as_on_this_machine": right,
            "bytes_of_flash": found.flash_bytes,
            "bytes_of_RAM": found.ram_bytes,
            "instructions_per_image": found.instructions,
        }
    }


def _sections(text: str) -> dict[str, int]:
    return {name: int(size) for name, size in re.findall(r"^(\.\w+) +(\d+) ", text, re.MULTILINE)}


def _run(command: Sequence[str], where: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, errors="replace", timeout=TIME_S
        )
    except subprocess.TimeoutExpired:
        raise NotRun(f"{command[0]} did not end within {TIME_S} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise NotRun(f"{command[0]} failed: {said[0]}")
    return done.stdout + done.stderr
