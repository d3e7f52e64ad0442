"""Compile and run exported C."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

COMPILERS = {
    "gcc": ["gcc", "-std=c99"],
    "clang": ["clang", "-std=c99"],
    "g++": ["g++", "-x", "c++", "-std=c++17"],
    "clang++": ["clang++", "-x", "c++", "-std=c++17"],
}
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZED = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# Image after image from stdin; for each the digit, the logits and the probabilities.
MAIN = """
#include <stdio.h>
#include "under20k.h"
int main(void) {
    uint8_t image[784];
    float scores[21];
    while (fread(image, 1, 784, stdin) == 784) {
        under20k_logits(image, scores);
        scores[20] = (float)under20k_digit(image, scores + 10);
        fwrite(scores, sizeof(float), 21, stdout);
    }
    return 0;
}
"""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def scores(folder: Path, images: NDArray[np.uint8], *options: str) -> NDArray[np.float32]:
    """Return (N, 21): logits, probabilities and digit, from the C in ``folder`` compiled by gcc."""
    (folder / "main.c").write_text(MAIN)
    sources = [str(folder / name) for name in ("main.c", "under20k.c")]
    program = str(folder / "main")
    subprocess.run([*COMPILERS["gcc"], *STRICT, *(options or ["-O3"]), *sources, "-o", program], check=True)
    done = subprocess.run([program], input=images.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return np.frombuffer(done.stdout, np.float32).reshape(len(images), 21)
