"""The native engine against PyTorch, one against the other in turns (A B A B), and against the processor.

Usage: python benchmarks/engines.py [--images N] [--rounds R] [--json FILE]

Prints a Markdown table and the ratios' medians. Times are of training epochs, augmentation and optimiser
included, scaled from N images to 50,000. Wall-clock time counts what others do on the machine; processor
time (of all threads) hardly does, but hides waiting. Ratios within one run are what to quote.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from under20k.data import load
from under20k.engine import available_cores, create
from under20k.engine.native_engine import instruction_set
from under20k.environment import processor
from under20k.plan import epoch_plan
from under20k.recipes import MINIMAL, REGULARIZED

EPOCH = 50_000  # images


def true_flop(recipe: Any) -> float:
    """Of an epoch: forward, weights' gradient and (but for the first layer) input's gradient, no padding."""
    total, inputs, side = 0, 1, 28
    blocks = [(b.channels, b.kernel, b.padding, b.pool) for b in recipe.architecture.blocks]
    head = recipe.architecture.head
    for index, (channels, kernel, padding, pool) in enumerate(
        [*blocks, (10, head.kernel, head.padding, False)]
    ):
        out = side + 2 * padding - kernel + 1
        # Pairs of an output and an input row that meet on the map, squared for the columns.
        meetings = sum(0 <= y + k - padding < side for y in range(out) for k in range(kernel)) ** 2
        total += 2 * inputs * channels * meetings * (3 if index else 2)
        inputs, side = channels, out // 2 if pool else out
    return float(total * EPOCH)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall-clock and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description="The native engine against PyTorch, in turns.")
    parser.add_argument("--images", type=int, default=12_800, help="images of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each engine")
    parser.add_argument("--json", type=Path, help="where to write everything measured")
    arguments = parser.parse_args()
    data, cores, images = load(), available_cores(), arguments.images
    x, y = data.train.images[:images], data.train.labels[:images]
    rows: list[dict[str, Any]] = []
    for recipe in (MINIMAL, REGULARIZED):
        plan = epoch_plan(recipe, 0, 1, images)
        engines = {
            "native": create(recipe, 0, engine="native", threads=cores),
            "native, 1 thread": create(recipe, 0, engine="native", threads=1),
            "torch": create(recipe, 0, engine="torch", device="cpu", threads=cores),
        }
        for engine in engines.values():  # a first turn that does not count
            engine.train_epoch(x[:1280], y[:1280], epoch_plan(recipe, 0, 1, 1280), lambda done: None)
            engine.logits(data.validation.images[:1000])
        for turn in range(arguments.rounds):
            for name, engine in engines.items():
                wall, cpu = timed(
                    lambda engine=engine, plan=plan: engine.train_epoch(x, y, plan, lambda done: None)
                )
                seconds = {"wall_s": wall * EPOCH / images, "cpu_s": cpu * EPOCH / images}
                logits_wall, logits_cpu = timed(lambda engine=engine: engine.logits(data.validation.images))
                rows.append(
                    {"recipe": recipe.name, "engine": name, "turn": turn, **seconds}
                    | {"logits_wall_s": logits_wall, "logits_cpu_s": logits_cpu}
                )

    machine = (
        f"{processor()}, {cores} cores, {instruction_set()}; torch {torch.__version__}; {platform.system()}"
    )
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"machine": machine, "images": images, "rows": rows}, indent=2) + "\n"
        )
    print(f"{machine}; {images} images, medians of {arguments.rounds} turns, scaled to {EPOCH}.\n")
    columns = ("recipe", "engine", "epoch, wall s", "processor s", "torch to it", "GFLOP/s", "logits, wall s")
    print("| " + " | ".join(columns) + " |")
    print("|---|---|---|---|---|---|---|")
    for recipe in (MINIMAL, REGULARIZED):
        for name in ("native", "native, 1 thread", "torch"):
            own = {
                key: statistics.median(
                    r[key] for r in rows if (r["recipe"], r["engine"]) == (recipe.name, name)
                )
                for key in ("wall_s", "cpu_s", "logits_wall_s")
            }
            turns = {
                engine: [r["wall_s"] for r in rows if (r["recipe"], r["engine"]) == (recipe.name, engine)]
                for engine in (name, "torch")
            }  # each turn against its neighbour
            ratio = statistics.median(b / a for a, b in zip(turns[name], turns["torch"], strict=True))
            print(
                f"| {recipe.name} | {name} | {own['wall_s']:.2f} | {own['cpu_s']:.2f} | {ratio:.2f} "
                f"| {true_flop(recipe) / own['wall_s'] / 1e9:.0f} | {own['logits_wall_s']:.3f} |"
            )


if __name__ == "__main__":
    main()
