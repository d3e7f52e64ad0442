"""The bits of tiny trainings that have everything in them that a recipe can have, and the table of them.

``python -m tests.support.golden_bits`` compares this machine's rows with the table. ``--write`` adds rows
that the table lacks, and replaces rows only if ``NUMERICS`` was raised since they were made.

A row of the native engine holds on every processor with its instruction set: the source fixes the order of
sums. From the C library come only ``exp`` and ``log``, in double precision for each image's loss, so that
their last bit is lost when the gradient is rounded to float32. The compiler does matter: GCC and Clang
contract products and sums into fused multiply-adds each in its own way, so a row is of one of the two. GCC 11
and 12 give the same bits. Clang 16 gives others (with ``-ffp-contract=fast`` too), except where there is
nothing to fuse: with ``baseline`` on x86, and with emulated bf16.

torch's bits depend on its release, the processor's instructions and maker, and the number of threads: a row
is of one combination. ``figures()`` come from torch in float64 and are compared to six digits on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from under20k.data.split import split_indices
from under20k.engine import isa as instruction_sets
from under20k.engine.base import NUMERICS, Engine, Teacher, average_decay
from under20k.engine.isa import EMULATION_VARIABLE, ISA_VARIABLE
from under20k.engine.native_engine import NativeEngine
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.files import read_json, write_json
from under20k.recipe.architecture import Architecture
from under20k.recipe.filters import filtered
from under20k.recipe.plan import dropout_keep, epoch_plan
from under20k.recipe.recipe import Augmentation, Distillation, Recipe, Schedule
from under20k.recipe.transforms import displacements
from under20k.recipe.weights import Tensors, initial_weights

TABLE = Path(__file__).parent.parent / "engine" / "golden_bits.json"
COMMAND = "python -m tests.support.golden_bits --write"

SEED = 5
IMAGES = 75  # the last batch is short, and no multiple of any engine's lanes

PLANNED = 5_000  # images of a plan; the more there are, the smaller a change that shows

PLAIN = Recipe(
    "plain",
    Architecture.parse("8,12p,14,16p,20v,24v|3v"),
    epochs=2,
    batch_size=32,
    schedule=Schedule("step", step_epochs=1),
    augmentation=Augmentation(rotation_deg=5.0),
)
BARE = Recipe(
    "bare",
    Architecture.parse("10n,16up,20u,32vu|l"),
    epochs=2,
    batch_size=30,
    learning_rate=0.02,
    momentum=0.0,
    schedule=Schedule("constant"),
)
EVERYTHING = Recipe(
    "everything",
    Architecture.parse("13u,13u,13sup,16k1d0.1,20pd0.05,12v|3"),
    epochs=2,
    batch_size=32,
    learning_rate=0.06,
    nesterov=True,
    weight_decay=1e-3,
    decay_all=False,
    label_smoothing=0.1,
    average_decay=0.9,
    schedule=Schedule("one-cycle"),
    augmentation=Augmentation(
        rotation_deg=10.0,
        translation_px=2.0,
        scale=0.1,
        shear=0.1,
        interpolation="bilinear",
        elastic_px=2.0,
        fade_epochs=1,
    ),
    distillation=Distillation(PLAIN, teachers=2, temperature=3.0, teacher_share=0.5),
)
RECIPES = (PLAIN, BARE, EVERYTHING)
FILTERED = Recipe(
    "filtered",
    Architecture.parse("8,12p,14,16p,20v,24v|3v"),
    epochs=2,
    batch_size=32,
    augmentation=Augmentation(
        rotation_deg=10.0,
        interpolation="bilinear",
        elastic_px=2.0,
        stroke_px=4.0,
        low_resolution=0.5,
        bitmap=0.5,
        fade_epochs=1,
    ),
    drawn_share=0.3,
)
LATER = {"filtered": (FILTERED,)}
"""What came after the first rows, in rows of its own: those of machines that are not at hand stay whole."""
DRAWN = 20
"""Of ``IMAGES``, the last in the place of drawn digits, for recipes that train on some."""
ARITHMETIC = (
    *((isa, by) for isa in ("baseline", "avx2", "avx512", "wide") for by in ("fp32", "bf16 emulated")),
    (instruction_sets.BF16_ISA, "bf16"),
)
"""Instruction sets and precisions of the native engine."""
THREADS = (1, 2)

Row = dict[str, Any]


def images() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Strokes and dots (IMAGES, 28, 28) that no random generator draws, and their labels."""
    n, y, x = np.ogrid[:IMAGES, :28, :28]
    stroke = np.abs((x - 14) * (n % 10 - 4) + (y - 14) * (n % 7 - 3)) < 12
    dots = (n * 7919 + y * 104_729 + x * 1_299_709 + x * y * n) % 251
    inside = (x >= 4) & (x < 24) & (y >= 4) & (y < 24)
    pixels = np.where(inside, np.where(stroke, 255 - dots // 4, dots // 16), 0)
    return pixels.astype(np.uint8), (np.arange(IMAGES) % 10).astype(np.uint8)


def digest(*parts: object) -> str:
    """SHA-256 of arrays, bit by bit, and of other values as text."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str} {part.shape}\n".encode() + np.ascontiguousarray(part).tobytes())
        else:
            found.update(f"{part!r}\n".encode())
    return found.hexdigest()


def drawn_later(recipes: tuple[Recipe, ...]) -> Row:
    """What NumPy draws for later recipes, and what their filters make of images."""
    row = {}
    for recipe in recipes:
        for epoch in (1, 2):
            plan = epoch_plan(recipe, SEED, epoch, PLANNED, PLANNED // 10)
            assert plan.filters is not None
            changed = filtered(images()[0], plan.filters[:IMAGES])
            row[f"plan of {recipe.name}, epoch {epoch}"] = digest(
                plan.order, plan.matrices, plan.grids, plan.filters, changed
            )
    return row


def drawn() -> Row:
    """What NumPy draws, whichever engine trains: the split, weights, plans, teachers' seeds."""
    row = {"split": digest(*split_indices())}
    for recipe in RECIPES:
        weights = initial_weights(recipe.architecture, SEED)
        row[f"weights of {recipe.name}"] = digest(*flat(weights))
        for epoch in (1, 2):
            plan = epoch_plan(recipe, SEED, epoch, PLANNED)
            row[f"plan of {recipe.name}, epoch {epoch}"] = digest(
                plan.order,
                plan.matrices,
                plan.grids,
                None if plan.grids is None else displacements(plan.grids[:IMAGES]),
                plan.bilinear,
                plan.learning_rates,
                [average_decay(recipe, step) for step in range(20)],
                plan.dropout_seed,
                dropout_keep(plan.dropout_seed, 3, plan.order[:20], 100, 0.1),
            )
    assert EVERYTHING.distillation is not None
    row["seeds of teachers"] = digest(list(EVERYTHING.distillation.seeds(SEED)))
    return row


def train(engine: Engine, recipe: Recipe) -> list[object]:
    """Train through both epochs; returns what comes out, as far as a run keeps it: state, logits, figures."""
    pixels, labels = images()
    drawn = DRAWN if recipe.drawn_share else 0
    if recipe.distillation:
        teacher = recipe.distillation.teacher.architecture
        engine.learn_from(
            [Teacher(teacher, initial_weights(teacher, seed)) for seed in recipe.distillation.seeds(SEED)]
        )
    found: list[object] = []
    for epoch in (1, 2):
        plan = epoch_plan(recipe, SEED, epoch, IMAGES - drawn, drawn)
        result = engine.train_epoch(pixels, labels, plan, lambda done: None)
        # The loss is a sum of logarithms, whose last digits are the C library's.
        found += [np.float32(result.loss).tobytes().hex(), result.correct]
    return [*found, *flat(engine.state()), engine.logits(pixels[:40]), engine.logits(pixels[:1])]


def flat(tensors: Tensors) -> list[object]:
    """Names and arrays in turn, in the names' order."""
    return [part for pair in sorted(tensors.items()) for part in pair]


def native(isa: str, precision: str = "fp32", recipes: tuple[Recipe, ...] = RECIPES) -> Row:
    """The native engine's row. Raises UserError where this machine has no such instruction set."""
    emulate = "1" if precision == "bf16 emulated" else "0"
    with mock.patch.dict("os.environ", {ISA_VARIABLE: isa, EMULATION_VARIABLE: emulate}):
        row = {}
        for recipe in recipes:
            weights = initial_weights(recipe.architecture, SEED)
            for threads in THREADS:
                bits = digest(*train(NativeEngine(recipe, weights, threads, precision.split()[0]), recipe))
                if row.setdefault(recipe.name, bits) != bits:
                    raise AssertionError(f"{recipe.name}: {threads} threads give other bits than one")
        return row


def on_torch(threads: int, recipes: tuple[Recipe, ...] = RECIPES) -> Row:
    """The torch engine's row, on the CPU."""
    with torch_threads(threads):
        return {
            recipe.name: digest(
                *train(TorchEngine(recipe, initial_weights(recipe.architecture, SEED), "cpu"), recipe)
            )
            for recipe in recipes
        }


def figures(recipes: tuple[Recipe, ...] = (*RECIPES, FILTERED)) -> dict[str, float]:
    """The mean size of the values in each tensor of the state after training in float64 with torch."""
    found = {}
    with torch_threads(1):
        for recipe in recipes:
            weights = initial_weights(recipe.architecture, SEED)
            engine = TorchEngine(recipe, weights, "cpu", torch.float64)
            train(engine, recipe)
            for name, value in engine.state().items():
                found[f"{recipe.name} {name}"] = float(np.abs(value, dtype=np.float64).mean())
    return found


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Have torch use so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def vendor() -> str:
    """Return the processor's maker, by which some of torch's libraries choose their kernels."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    found = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("vendor_id")]
    return found[0] if found else "unknown"


def makers() -> dict[str, Callable[[], Row]]:
    """All rows that there may be on this kind of machine, by name, each with what makes it here."""
    machine, family = platform.machine(), str(instruction_sets.compiler()).split()[0]
    found: dict[str, Callable[[], Row]] = {"drawn": drawn}
    for isa, precision in ARITHMETIC:
        found[f"native by {family}, {machine}, {isa}, {precision}"] = partial(native, isa, precision)
    capability = torch.backends.cpu.get_cpu_capability()
    for threads in THREADS:
        name = f"torch {torch.__version__}, {machine}, {capability}, {vendor()}, {threads} threads"
        found[name] = partial(on_torch, threads)
    first = list(found.items())
    for later, recipes in LATER.items():
        for name, make in first:
            own = partial(drawn_later, recipes) if make is drawn else partial(make, recipes=recipes)
            found[f"{name}, {later}"] = own
    return found


def changed(row: Row, golden: Row) -> list[str]:
    """Which parts of a row are not what the table says."""
    return [name for name in {**golden, **row} if row.get(name) != golden.get(name)]


def main() -> int:
    """Compare, or write; 0 where the table holds afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="add the rows of this machine to the table")
    write = parser.parse_args().write
    table = read_json(TABLE) if TABLE.exists() else {"numerics": 0, "rows": {}, "figures": {}}
    if table["numerics"] > NUMERICS:
        print(f"NUMERICS is {NUMERICS}, and the table's {table['numerics']}: never lower it", file=sys.stderr)
        return 1
    raised = table["numerics"] < NUMERICS
    rows = {} if raised else dict(table["rows"])
    wrong = []
    for name, make in makers().items():
        try:
            row = make()
        except UserError as error:
            print(f"{name}: not on this machine: {error}")
            continue
        parts = changed(row, rows[name]) if name in rows else []
        print(f"{name}: {'changed: ' + ', '.join(parts) if parts else 'holds' if name in rows else 'new'}")
        wrong += [name] if parts else []
        rows.setdefault(name, row)
    if wrong:
        print("bits changed: if that is meant, raise NUMERICS in under20k/engine/base.py", file=sys.stderr)
        return 1
    for name in () if not raised else table["rows"].keys() - rows.keys():
        print(f"{name}: dropped, for it is of numerics {table['numerics']}; make it on such a machine")
    numbers = figures() if raised else figures() | table["figures"]
    if write:
        write_json(TABLE, {"numerics": NUMERICS, "rows": dict(sorted(rows.items())), "figures": numbers})
    return 0


if __name__ == "__main__":
    sys.exit(main())
