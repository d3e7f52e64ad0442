"""Benches and their run folders, made without training: chosen accuracies, untrained weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from under20k.engine.base import NUMERICS
from under20k.files import write_text
from under20k.recipe.named import MINIMAL
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights
from under20k.report.records import write_record_page
from under20k.runs.bench.bench import Bench, SeedResult
from under20k.runs.metrics import EpochMetrics, metrics_lines
from under20k.runs.records.folders import write_record
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.run import Run, run_path
from under20k.runs.tensors import safetensors_bytes

SMALL = replace(MINIMAL.with_changes(architecture="2p,4p|l", epochs=2), name="small")
TAUGHT = replace(SMALL.with_changes(teacher=MINIMAL, teachers=2), name="taught")
ENVIRONMENT: dict[str, Any] = {
    "started": "2026-01-02T03:04:05+00:00",
    "command": "under20k bench small --seeds 0-19",
    "engine": "torch",
    "precision": "fp32",
    "instruction_set": None,
    "device": "cpu",
    "threads": 1,
    "under20k": "0.1.0",
    "git": "0123456789abcdef0123456789abcdef01234567",
    "numerics": NUMERICS,
    "native_build": None,
    "python": "3.11.9",
    "packages": {"numpy": "2.0.0", "torch": "2.13.0"},
    "system": "Linux x86_64",
    "processor": "A processor",
    "cores": 2,
}


def epochs_of(recipe: Recipe, last: float, seed: int = 0) -> list[EpochMetrics]:
    """Every epoch of a training that ends at this validation accuracy."""
    return [
        EpochMetrics(
            epoch=epoch,
            learning_rate=recipe.learning_rate_at((epoch - 1) * 391, 391),
            train_loss=(0.1 + seed / 2**20) / epoch,
            train_accuracy=min(50_000, 49_000 + 100 * epoch + seed) / 50_000,
            # No less than such an accuracy allows: a wrong answer costs ln 2 or more.
            validation_loss=(0.2 + seed / 2**20) / epoch + (1 - last),
            validation_accuracy=last if epoch == recipe.epochs else min(9_990, 9_800 + 10 * epoch) / 10_000,
            train_time_s=1.25 + seed / 100,
            total_time_s=1.5 + seed / 64,
            images_per_s=50_000 / (1.25 + seed / 100),
        )
        for epoch in range(1, recipe.epochs + 1)
    ]


def seed_result(recipe: Recipe, seed: int, last: float, **environment: Any) -> SeedResult:
    return SeedResult(
        seed, tuple(epochs_of(recipe, last, seed)), {**ENVIRONMENT, **environment}, f"../runs/{seed}"
    )


def bench_of(last: Sequence[float], recipe: Recipe = SMALL, first: int = 0, **environment: Any) -> Bench:
    """A bench of consecutive seeds with these accuracies at the last epoch."""
    seeds = tuple(seed_result(recipe, seed, value, **environment) for seed, value in enumerate(last, first))
    return Bench(recipe, seeds, (), "under20k bench small --seeds 0-19", "2026-01-02")


def taught(bench: Bench, recipe: str = "minimal", first: int = 10**9) -> Bench:
    """The bench, each seed noting two teachers of its own."""
    seeds = []
    for one in bench.seeds:
        noted = [
            {"recipe": recipe, "seed": seed, "validation_accuracy": 0.99, "time_s": 30.0}
            for seed in range(first + 2 * one.seed, first + 2 * one.seed + 2)
        ]
        seeds.append(replace(one, environment={**one.environment, "teachers": noted}))
    return replace(bench, seeds=tuple(seeds))


def around(mean: float, n: int = 20) -> list[float]:
    """So many accuracies, whole numbers of 10,000 images, by turns 0.03 points below the mean and above."""
    middle = round(10_000 * mean)
    return [(middle + (3 if index % 2 else -3)) / 10_000 for index in range(n)]


def recorded(record: Record, records_dir: Path) -> Path:
    """The record on disk, its first seed's weights untrained ones."""
    first, recipe = record.bench.seeds[0].seed, record.bench.recipe
    weights = initial_weights(recipe.architecture, first)
    model = safetensors_bytes(weights, {"recipe": recipe.to_json(), "seed": str(first)})
    with_digest = replace(record, weights={**record.weights, first: weights_sha256(weights)})
    path = write_record(with_digest, records_dir, model)
    write_record_page(with_digest, path)
    return path


def on_disk(folder: Path, bench: Bench, accuracy: Callable[[Run], float] | None = None) -> Path:
    """The run folders of a bench, and the folder that holds its ``bench.json``.

    With ``accuracy``, each run's last epoch has what that gives for the run's weights.
    """
    seeds = []
    path = folder / "benches" / bench.recipe.name
    for seed in bench.seeds:
        where = run_path(folder / "runs", bench.recipe.name, seed.seed)
        run = Run.create(where, bench.recipe, seed.seed, dict(seed.environment))
        metrics = list(seed.epochs)
        run.save_model(initial_weights(bench.recipe.architecture, seed.seed), metrics)
        if accuracy is not None:
            metrics = epochs_of(bench.recipe, accuracy(run), seed.seed)
            write_text(where / "metrics.jsonl", metrics_lines(metrics))
        seeds.append(SeedResult.of(run, path))
    again = Bench(bench.recipe, tuple(seeds), bench.failures, bench.command, bench.date)
    again.write(path)
    return path
