"""A trained model in use: the native engine, PyTorch, and the files of ``under20k export`` in their runtimes.

All start from pixels, but PyTorch from images that are normalised already.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.amount import Amount, cores_used
from benchmarks.evaluation import (
    NATIVE,
    TORCH,
    Logits,
    agree,
    batch_timer,
    normalised,
    prepared,
    single_timer,
    torch_makers,
    torch_network,
    warm_turns,
)
from benchmarks.turns import Unavailable
from under20k.data import load as load_mnist
from under20k.deploy.export.export import export
from under20k.deploy.model import Model, load
from under20k.engine.base import Compute, Images
from under20k.engine.select import create
from under20k.errors import UserError
from under20k.recipe.architecture import CLASSES

MODEL = "minimal"
EXPORTS = {
    "onnx": "ONNX fp32, onnxruntime",
    "onnx-int8": "ONNX int8, onnxruntime",
    "c": "C float, gcc -O3",
    "c-int8": "C int8, gcc -O3",
}
"""The formats that are measured, and what their rows are called."""
SAME_DIGITS = 0.95
"""Least fraction of a batch on which an int8 export and the native engine agree."""
UINT8_FILES = {"onnx": "model-uint8.onnx", "onnx-int8": "model-int8-uint8.onnx"}
LOOP = """
#include "under20k.h"
void many(const uint8_t* images, int count, float* logits) {
    for (int i = 0; i < count; i++) under20k_logits(images + 784 * i, logits + 10 * i);
}
"""


def measure(amount: Amount, tell: Callable[[str], None]) -> dict[str, Any]:
    """Plain values: seconds of one image and of a batch, turn by turn."""
    pixels = load_mnist().validation.images[: amount.evaluated]
    threads = cores_used()
    model = load(MODEL)
    native = create(model.recipe, 0, Compute("native", threads=threads), weights=model.weights)
    with tempfile.TemporaryDirectory(prefix="under20k-inference-") as folder:
        makers = torch_makers(torch_network(model.recipe, native), amount)
        for name in EXPORTS:
            makers[EXPORTS[name]] = maker(name, model, Path(folder), threads)
        others, missing = prepared(makers, tell)
        contenders = {NATIVE: native.logits, **others}
        inputs: dict[str, NDArray[Any]] = {
            name: normalised(pixels) if name in TORCH else pixels for name in contenders
        }
        check(contenders, inputs, amount.batch)

        def turns(what: str, timer: Callable[[str], float]) -> dict[str, list[float]]:
            return warm_turns(contenders, timer, amount.rounds, lambda text: tell(f"{what}: {text}"))

        return {
            "model": MODEL,
            "threads": threads,
            "batch": amount.batch,
            "one_image_s": turns("one image", single_timer(contenders, inputs, amount)),
            "batch_s": turns("a batch", batch_timer(contenders, inputs, amount)),
            "unavailable": missing,
        }


def check(contenders: dict[str, Logits], inputs: dict[str, NDArray[Any]], batch: int) -> None:
    """Raise AssertionError unless all give the native engine's logits, and int8 nearly its digits."""
    in_int8 = {EXPORTS[name] for name in EXPORTS if name.endswith("int8")} & contenders.keys()
    agree({name: of for name, of in contenders.items() if name not in in_int8}, inputs, batch)
    expected = contenders[NATIVE](inputs[NATIVE][:batch]).argmax(1)
    for name in in_int8:
        same = float((contenders[name](inputs[name][:batch]).argmax(1) == expected).mean())
        assert same >= SAME_DIGITS, f"{name} gives the same digit for only {same:.0%} of the images"


def maker(name: str, model: Model, folder: Path, threads: int) -> Callable[[], Logits]:
    """Return a function that exports a model and returns what computes its logits.

    Args:
        name: the format.
        model: what to export.
        folder: for the files.
        threads: to compute on.
    """

    def make() -> Logits:
        try:
            exported = export(model, name, folder / name, proof=False).folder
        except UserError as error:
            raise Unavailable(str(error)) from error
        if name in UINT8_FILES:
            return onnx_file(exported / UINT8_FILES[name], threads)
        return c_files(exported, threads)

    return make


def onnx_file(file: Path, threads: int) -> Logits:
    """Return what a file that takes uint8 computes in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def logits(images: Images) -> NDArray[np.float32]:
        (answer,) = session.run(["logits"], {"image": images[:, None]})
        result: NDArray[np.float32] = answer
        return result

    return logits


def c_files(folder: Path, threads: int) -> Logits:
    """Return what exported C computes, a batch in equal parts, each by a thread with a copy of its own.

    The C is for one thread at a time. Raises Unavailable without gcc.
    """
    if shutil.which("gcc") is None:
        raise Unavailable("gcc is not installed")
    loop, library = folder / "loop.c", folder / "library.so"
    loop.write_text(LOOP)
    sources = [str(loop), str(folder / "under20k.c")]
    subprocess.run(["gcc", "-std=c99", "-O3", "-shared", "-fPIC", *sources, "-o", str(library)], check=True)
    copies = []
    for number in range(threads):
        copy = shutil.copy(library, folder / f"library-{number}.so")
        copies.append(ctypes.CDLL(str(copy)).many)
    pool = ThreadPoolExecutor(threads)

    def compute(many: Callable[..., None], images: Images, logits: NDArray[np.float32]) -> None:
        many(ctypes.c_void_p(images.ctypes.data), len(images), ctypes.c_void_p(logits.ctypes.data))

    def logits(images: Images) -> NDArray[np.float32]:
        images, out = np.ascontiguousarray(images), np.empty((len(images), CLASSES), np.float32)
        if len(images) == 1:
            compute(copies[0], images, out)
        else:
            list(pool.map(compute, copies, np.array_split(images, threads), np.array_split(out, threads)))
        return out

    return logits
