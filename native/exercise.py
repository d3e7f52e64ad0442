"""Runs all of the native engine's kernels at odd sizes; ``sanitize.sh`` looks on. Neither pytest nor torch.

Usage: python native/exercise.py MODULE.so
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys

import numpy as np

# The module to look at takes the installed one's place: before anything imports that.
spec = importlib.util.spec_from_file_location("under20k.engine._native", sys.argv[1])
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["under20k.engine._native"] = module

from under20k.architecture import Architecture  # noqa: E402
from under20k.engine.native_engine import ISA_VARIABLE, NativeEngine, instruction_set  # noqa: E402
from under20k.errors import UserError  # noqa: E402
from under20k.plan import epoch_plan  # noqa: E402
from under20k.recipe import Augmentation, Recipe  # noqa: E402
from under20k.weights import initial_weights  # noqa: E402

ARCHITECTURES = (
    "8,12p,14,16pd0.05,20v,24v|3v",
    "5vnp,7k1,11pd0.5,3nup,2|3",
    "1k1,13k1u,1vp|lu",
    "3p,3p,3p,3p|1",
    "9,2vd0.1|l",
)
BATCH_SIZES = (1, 7, 33)
AUGMENTATIONS = (
    Augmentation(),
    Augmentation(180, 28, 0.9, 2, "nearest"),
    Augmentation(30, 3, 0.2, 0.1, "bilinear"),
)
THREADS = (1, 2, 5)


def main() -> None:
    assert sys.modules["under20k.engine.native_engine"]._native is module
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (70, 28, 28), dtype=np.uint8)
    labels = generator.integers(0, 10, 70, dtype=np.uint8)
    for isa in ("baseline", "avx2", "avx512"):
        os.environ[ISA_VARIABLE] = isa
        try:
            instruction_set()
        except UserError as error:
            print(error)
            continue
        cases = itertools.product(ARCHITECTURES, BATCH_SIZES, AUGMENTATIONS)
        for text, batch_size, augmentation in cases:
            recipe = Recipe(
                "exercise", Architecture.parse(text), batch_size=batch_size, learning_rate=0.01, momentum=0.9,
                nesterov=True, label_smoothing=0.1, average_decay=0.9, augmentation=augmentation,
            )  # fmt: skip
            weights = initial_weights(recipe.architecture, 0)
            # Of 66 images in batches of 7 the last is of 3; the last of 33 is whole.
            plan = epoch_plan(recipe, 0, 1, 66)
            bits = set()
            for threads in THREADS:
                engine = NativeEngine(recipe, weights, threads)
                engine.train_epoch(images[:66], labels[:66], plan, lambda done: None)
                engine.load_state(engine.state())
                bits.add(b"".join(value.tobytes() for value in engine.state().values()))
                bits.add(engine.logits(images[:61]).tobytes())
            assert len(bits) == 2, f"{isa}, {text}, {batch_size}: the number of threads matters"
        print(f"{isa}: trained every case with {THREADS} threads to the same bits")


if __name__ == "__main__":
    main()
