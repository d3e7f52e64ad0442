"""Run all of the native engine's kernels at odd sizes, under ``sanitize.sh``. Needs neither pytest nor torch.

Usage: python exercise.py     with UNDER20K_SANITIZED in the environment (see ``sanitized.py``)

Whether the numbers are right is for tests/native to say. Here every instruction set of this processor meets
shapes that fill no tile, no vector and no batch, several threads, interruptions and bad input. A batch of one
group and one thread is the sharpest: a map then ends where the memory ends, and the next byte is a fault.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import sanitized
from exercise_graphs import GRAPHS, own_model, weights_of

from under20k.engine.base import Divergence, EpochResult, Teacher
from under20k.engine.isa import EMULATION_VARIABLE, ISA_VARIABLE, instruction_set
from under20k.engine.native_engine import NativeEngine
from under20k.engine.native_graph import network_settings
from under20k.engine.native_layout import ParameterLayout
from under20k.recipe.architecture import Architecture
from under20k.recipe.filters import resampling
from under20k.recipe.plan import EpochPlan, epoch_plan
from under20k.recipe.recipe import Augmentation, Distillation, Recipe
from under20k.recipe.transforms import spline_weights
from under20k.recipe.weights import initial_weights

# Maps of every width that 28 can become, channels that make tiles of every size.
ARCHITECTURES = (
    "8,12p,14,16pd0.05,20v,24v|3v",
    "5vnp,7k1,11pd0.5,3nup,2|3",
    "1k1,13k1u,1vp|lu",
    "3p,3p,3p,3p|1",
    "9,2vd0.1|l",
    "1p,2vu,3vd0.2,4vn,5v,6vp,19|3",
    "10k1,18k1p,17k1np,6k1v,4v,3v|1",
    "5,5,5sp,5vsn,2k1,2k1,2k1s|l",
)
BEYOND_CHAINS = ("5k5/2,5gu,5k1r2,9k7vd0.1,9k1,9g3r|5",)
"""Groups, strides, large kernels and sums, which are trained as graphs; the groups have no bf16."""
BATCH_SIZES = (1, 7, 33)
AUGMENTATIONS = (
    Augmentation(),
    Augmentation(180, 28, 0.9, 2, "nearest"),
    Augmentation(180, 28, 0.9, 2, "nearest", elastic_px=28),
    Augmentation(30, 3, 0.2, 0.1, "bilinear", elastic_px=3),
    Augmentation(stroke_px=4, low_resolution=0.7, bitmap=0.5),
    Augmentation(180, 28, 0.9, 2, "nearest", stroke_px=4, low_resolution=1, bitmap=0.5),
    Augmentation(30, 3, 0.2, 0.1, "bilinear", elastic_px=2, stroke_px=4, low_resolution=0.7, bitmap=0.5),
)
THREADS = (1, 2, 5)
TRAINED = 37  # images: of batches of 7 the last is of 2, of batches of 33 it is of 4

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (70, 28, 28), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 10, 70, dtype=np.uint8)

SMALL = Recipe(
    "exercise", Architecture.parse("3,4pd0.1,5vn|3"), batch_size=20, learning_rate=0.01, momentum=0.9,
    nesterov=True, label_smoothing=0.1, average_decay=0.9, augmentation=AUGMENTATIONS[-1],
)  # fmt: skip


def instruction_sets() -> list[str]:
    """Those that this processor has, and the one in AVX-512's shape that runs on any."""
    present = []
    for isa in ("baseline", "avx2", "avx512", "wide"):
        try:
            sanitized.module.isa(isa)
        except ValueError:
            continue
        present.append(isa)
    return present


def start(recipe: Recipe, threads: int, precision: str = "fp32") -> NativeEngine:
    return NativeEngine(recipe, initial_weights(recipe.architecture, 0), threads, precision)


def train(
    engine: NativeEngine, plan: EpochPlan, on_step: Callable[[int], None] = lambda done: None
) -> EpochResult:
    return engine.train_epoch(IMAGES, LABELS, plan, on_step)


def everything(engine: NativeEngine) -> bytes:
    logits = (engine.logits(IMAGES), engine.logits(IMAGES[:2]))  # in groups, and one by one
    return b"".join(value.tobytes() for value in (*engine.state().values(), *logits))


def train_every_case() -> None:
    """One epoch of each architecture with each batch size, and its logits: the same bits by any threads."""
    augmentations = itertools.cycle(AUGMENTATIONS)
    for text, batch_size in itertools.product((*ARCHITECTURES, *BEYOND_CHAINS), BATCH_SIZES):
        architecture, augmentation = Architecture.parse(text), next(augmentations)
        recipe = replace(SMALL, architecture=architecture, batch_size=batch_size, augmentation=augmentation)
        bits = set()
        for threads in THREADS:
            engine = start(recipe, threads)
            train(engine, epoch_plan(recipe, 0, 1, TRAINED))
            bits.add(everything(engine))
        assert len(bits) == 1, f"{text}, {batch_size}: the number of threads matters"


def train_graphs() -> None:
    """The same with graphs of every operation; and as teachers."""
    for (name, nodes), batch_size in itertools.product(GRAPHS.items(), BATCH_SIZES[1:]):
        model = own_model(nodes)
        recipe, weights = replace(SMALL, architecture=model, batch_size=batch_size), weights_of(model)
        bits = set()
        for threads in THREADS:
            engine = NativeEngine(recipe, weights, threads)
            train(engine, epoch_plan(recipe, 0, 1, TRAINED))
            bits.add(everything(engine))
        assert len(bits) == 1, f"{name}, {batch_size}: the number of threads matters"
        taught = replace(SMALL, distillation=Distillation(replace(recipe, name="teacher"), 2))
        student = start(taught, 2)
        student.learn_from([Teacher(model, weights)] * 2)
        train(student, epoch_plan(taught, 0, 1, TRAINED))


def learn() -> None:
    """From teachers of every architecture, deeper and wider than the student or not."""
    texts = (*ARCHITECTURES, *BEYOND_CHAINS)
    for text, (batch_size, threads) in itertools.product(texts, ((7, 1), (33, 5))):
        architecture = Architecture.parse(text)
        teacher = Recipe("teacher", architecture)
        recipe = replace(SMALL, batch_size=batch_size, distillation=Distillation(teacher, 2))
        engine = start(recipe, threads)
        for seed in (0, 1):  # the second pair takes the first one's place
            weights = initial_weights(architecture, seed)
            engine.learn_from([Teacher(architecture, weights)] * 2)
            train(engine, epoch_plan(recipe, 0, 1, TRAINED))
        everything(engine)


def train_in_bf16() -> None:
    """The same with products in bf16, emulated: one step of every architecture, on maps that end early."""
    for text, batch_size in itertools.product(ARCHITECTURES, (1, 33)):
        recipe = replace(SMALL, architecture=Architecture.parse(text), batch_size=batch_size)
        bits = set()
        for threads in (1, 5):
            engine = start(recipe, threads, "bf16")
            train(engine, epoch_plan(recipe, 0, 1, batch_size))
            bits.add(everything(engine))
        assert len(bits) == 1, f"{text}, {batch_size}, bf16: the number of threads matters"


def evaluate() -> None:
    """No image, a group with and without its neighbour, more than one call's worth of groups."""
    engine = start(SMALL, 3)
    many = np.resize(IMAGES, (4200, 28, 28))
    logits = engine.logits(many)
    assert logits[:70].tobytes() == logits[4130:4200].tobytes()
    for count in (0, 9, 16, 17):
        assert engine.logits(IMAGES[:count]).tobytes() == logits[:count].tobytes()


def resume() -> None:
    """A second epoch, by the same engine and by another that took its state over."""
    first, second = start(SMALL, 2), start(SMALL, 3)
    train(first, epoch_plan(SMALL, 0, 1, TRAINED))
    second.load_state(first.state())
    for engine in (first, second):
        train(engine, epoch_plan(SMALL, 0, 2, TRAINED))
    assert everything(first) == everything(second)


def interrupt() -> None:
    """An exception from on_step and a Ctrl-C in mid-epoch, another in the middle of a step; then go on."""
    plan = epoch_plan(SMALL, 0, 1, TRAINED)
    long = epoch_plan(SMALL, 0, 1, 500_000)
    long = replace(long, order=long.order % len(IMAGES))
    one_step = replace(SMALL, batch_size=4000, augmentation=Augmentation())
    step = epoch_plan(one_step, 0, 1, 4000 * 50)
    step = replace(step, order=step.order % len(IMAGES))

    def stop(done: int) -> None:
        assert done < len(long.order)
        raise RuntimeError("enough")

    for recipe, endless, on_step, expected in (
        (SMALL, long, stop, RuntimeError),
        (SMALL, long, lambda done: None, KeyboardInterrupt),
        (one_step, step, lambda done: None, KeyboardInterrupt),
    ):
        engine = start(recipe, 3)
        state = engine.state()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        if expected is KeyboardInterrupt:
            timer.start()
        try:
            train(engine, endless, on_step)
        except expected:
            pass
        else:
            raise AssertionError(f"{expected.__name__} did not end the epoch")
        engine.load_state(state)
        engine.logits(IMAGES)
        if recipe is SMALL:
            train(engine, plan)
            untouched = start(recipe, 1)
            train(untouched, plan)
            assert everything(engine) == everything(untouched)


def train_beside_each_other() -> None:
    """Two engines, each called from a Python thread of its own, started and ended there."""
    results: list[bytes] = []

    def work() -> None:
        engine = start(SMALL, 2)
        for epoch in (1, 2, 3):
            train(engine, epoch_plan(SMALL, 0, epoch, TRAINED))
        results.append(everything(engine))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 2
    assert len(set(results)) == 1


def refuse() -> None:
    """A loss that is not finite; and bad input past Python's checks, straight into C++."""
    engine = start(SMALL, 2)
    state = engine.state()
    plan = epoch_plan(SMALL, 0, 1, TRAINED)
    for value in (np.nan, np.inf, -np.inf, 3e38):
        engine.load_state(state)
        name = "blocks.1.conv.weight"
        engine._layout.write({name: np.full_like(state[name], value)}, engine._network.weights)
        engine.logits(IMAGES)
        try:
            train(engine, plan)
        except Divergence:
            continue
        assert np.isfinite(value), "a weight that is not finite went unnoticed"

    engine.load_state(state)
    good = {
        "images": IMAGES, "labels": LABELS, "order": plan.order, "matrices": plan.matrices,
        "grids": plan.grids, "spline_weights": spline_weights(), "filters": plan.filters,
        "resampling": resampling(), "bilinear": True, "first_step": 0,
        "learning_rates": plan.learning_rates, "average_decays": plan.learning_rates, "dropout_seed": 0,
        "on_step": lambda done: None,
    }  # fmt: skip
    engine._network.train_epoch(**good)  # or the refusals below might be of something else
    matrices, grids, filters = plan.matrices, plan.grids, plan.filters
    assert matrices is not None
    assert filters is not None
    assert grids is not None
    edge = np.iinfo(np.int32)
    for change in (
        {"labels": LABELS + 10},
        {"labels": LABELS[:-1]},
        {"labels": LABELS.astype(np.int64)},
        {"labels": LABELS[::2]},
        {"images": IMAGES[:, :27]},
        {"images": IMAGES.astype(np.float32)},
        {"images": IMAGES[:0]},
        {"images": IMAGES[::2]},
        {"order": plan.order + len(IMAGES)},
        {"order": plan.order - 1},
        {"order": np.full_like(plan.order, edge.max)},
        {"order": np.full_like(plan.order, edge.min)},
        {"matrices": matrices[:-1]},
        {"matrices": matrices[:, :1]},
        {"matrices": None},
        {"grids": grids[:-1]},
        {"grids": grids[:, :, :7]},
        {"spline_weights": good["spline_weights"][:-1]},
        {"filters": filters[:-1]},
        {"filters": filters[:, :2]},
        {"filters": filters.astype(np.int32)},
        *({"filters": np.full_like(filters, side)} for side in (-1, 1, 7, 23, 255)),
        {"resampling": good["resampling"][:1]},
        {"learning_rates": plan.learning_rates[:-1]},
        {"average_decays": plan.learning_rates[:0]},
    ):
        try:
            engine._network.train_epoch(**(good | change))
        except (TypeError, ValueError):
            continue
        raise AssertionError(f"{list(change)}: taken, though it does not fit")
    _refuse_teachers(engine)
    # Maps far outside the image, whose coordinates wrap around, are odd but no fault.
    for value in (edge.max, edge.min):
        for bilinear in (True, False):
            wild = {"matrices": np.full_like(matrices, value), "bilinear": bilinear}
            engine._network.train_epoch(**(good | wild))
            engine._network.train_epoch(**(good | wild | {"grids": None}))
    for value in (np.iinfo(np.int16).max, np.iinfo(np.int16).min):
        engine._network.train_epoch(**(good | {"grids": np.full_like(grids, value)}))
        odd = filters.copy()
        odd[:, [0, 2]] = value
        engine._network.train_epoch(**(good | {"filters": odd}))


def _refuse_teachers(engine: NativeEngine) -> None:
    """Settings of another number of threads, and weights that are not theirs, straight into C++."""
    teacher = Recipe("teacher", SMALL.architecture, batch_size=1)
    places = ParameterLayout(teacher)
    weights = np.zeros(places.total, np.float32)
    two, three = (network_settings(teacher, places, threads, "fp32") for threads in (2, 3))
    for settings, given in (
        ([two], []),
        ([two], [weights[:-1]]),
        ([two], [weights.astype(np.float64)]),
        ([three], [weights]),
        ([two, two], [weights]),
    ):
        try:
            engine._network.learn_from(settings=settings, weights=given, temperature=1.0, share=1.0)
        except (TypeError, ValueError):
            continue
        raise AssertionError("teachers that do not fit were taken")


PARTS = (
    *(train_every_case, train_graphs, learn, train_in_bf16, evaluate, resume),
    *(interrupt, train_beside_each_other, refuse),
)


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    for isa in instruction_sets():
        os.environ |= {ISA_VARIABLE: isa, EMULATION_VARIABLE: "1"}
        assert instruction_set() == isa
        for part in PARTS:
            part()
        print(
            f"{isa}: every case with {THREADS} threads, teachers, bf16, evaluation, interruptions, bad input"
        )


if __name__ == "__main__":
    main()
