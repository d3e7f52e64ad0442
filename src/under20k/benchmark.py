"""A recipe over many seeds: training them, and what they say together.

A bench folder holds ``bench.json`` (the recipe, every seed's epochs and environment, the statistics), the
curves, the picture of the seeds and ``bench.md``; the run folders stay where they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from under20k.engine import check_threads
from under20k.environment import command
from under20k.errors import InvalidValue, UserError
from under20k.files import read_json, write_json
from under20k.inference import Difference, confidence_interval, exceeds_p
from under20k.metrics import EpochMetrics
from under20k.recipe import Recipe
from under20k.recipes import named
from under20k.run import Run, safe_name
from under20k.statistics import TARGET_ACCURACY, Sample, Summary
from under20k.trainings import Failure, Task, Unwatched, Watcher, train_all
from under20k.weights import check_seed

FORMAT = 1
FILE = "bench.json"
MAX_SEEDS = 100_000


@dataclass(frozen=True)
class SeedResult:
    """One seed's training."""

    seed: int
    epochs: tuple[EpochMetrics, ...]
    environment: Mapping[str, Any]
    run: str = ""
    """Its run folder, as seen from the bench folder."""

    @property
    def validation_accuracy(self) -> float:
        """At the last epoch: the result."""
        return self.epochs[-1].validation_accuracy

    @property
    def time_s(self) -> float:
        """Of all epochs, evaluation included."""
        return sum(epoch.total_time_s for epoch in self.epochs)

    @property
    def images_per_s(self) -> float:
        """Of training alone."""
        return fmean(epoch.images_per_s for epoch in self.epochs)

    @classmethod
    def of(cls, run: Run, folder: Path | None = None) -> SeedResult:
        """Of a finished run. Raises UserError where its metrics lack an epoch."""
        metrics = run.metrics()
        if len(metrics) != run.recipe.epochs:
            raise UserError(
                f"{run.path} is damaged: {len(metrics)} epochs of metrics for a recipe of "
                f"{run.recipe.epochs}; train it again with --overwrite"
            )
        where = os.path.relpath(run.path, folder) if folder else ""
        return cls(run.seed, tuple(metrics), run.session, Path(where).as_posix() if where else "")


@dataclass(frozen=True)
class Statistics:
    """What the last epochs of several seeds say. Accuracies are fractions, on validation."""

    summary: Summary
    interval: tuple[float, float] | None
    """95% for the mean; None for a single seed."""
    target: float
    p_exceeds_target: float | None
    """One-sided, of Student's t-test that the mean exceeds the target; None for a single seed."""
    time_s: Sample
    """Seconds of a training."""
    images_per_s: Sample

    @classmethod
    def of(cls, seeds: Sequence[SeedResult]) -> Statistics:
        """Of at least one seed."""
        summary = Summary.of([[epoch.validation_accuracy for epoch in seed.epochs] for seed in seeds])
        return cls(
            summary,
            confidence_interval(summary.last),
            TARGET_ACCURACY,
            exceeds_p(summary.last, TARGET_ACCURACY),
            Sample.of([seed.time_s for seed in seeds]),
            Sample.of([seed.images_per_s for seed in seeds]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        last, best = self.summary.last, self.summary.best
        return {
            "n": last.n,
            "mean": last.mean,
            "sd": last.sd,
            "standard_error": last.standard_error,
            "interval_95": None if self.interval is None else list(self.interval),
            "min": last.minimum,
            "max": last.maximum,
            "target": self.target,
            "share_at_target": self.summary.share_at_last,
            "p_exceeds_target": self.p_exceeds_target,
            "best_epoch": {
                "note": "selected by the accuracy it reports: not the result",
                "mean": best.mean,
                "sd": best.sd,
                "share_at_target": self.summary.share_at_any,
            },
            "time_s": {"mean": self.time_s.mean, "sd": self.time_s.sd},
            "images_per_s": {"mean": self.images_per_s.mean, "sd": self.images_per_s.sd},
        }


@dataclass(frozen=True)
class Bench:
    """A recipe's finished seeds, in their order; at least one."""

    recipe: Recipe
    seeds: tuple[SeedResult, ...]
    failures: tuple[str, ...] = ()
    """The trainings that were given up, which no figure counts."""
    command: str = ""
    date: str = ""

    @cached_property
    def statistics(self) -> Statistics:
        return Statistics.of(self.seeds)

    @property
    def last(self) -> list[float]:
        """Each seed's validation accuracy at the last epoch."""
        return [seed.validation_accuracy for seed in self.seeds]

    def versus(self, other: Bench) -> Difference:
        """This recipe's accuracies minus another's, by the seeds of both. Raises UserError for none."""
        theirs = {seed.seed: seed.validation_accuracy for seed in other.seeds}
        pairs = [(seed.validation_accuracy, theirs[seed.seed]) for seed in self.seeds if seed.seed in theirs]
        if not pairs:
            raise UserError(f"{self.recipe.name} and {other.recipe.name} have no seed in common")
        return Difference.of(*zip(*pairs, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "format": FORMAT,
            "command": self.command,
            "date": self.date,
            "recipe": self.recipe.to_dict(),
            "parameters": self.recipe.architecture.parameters,
            "macs": self.recipe.architecture.macs,
            "statistics": self.statistics.to_dict(),
            "failures": list(self.failures),
            "seeds": [
                {
                    "seed": seed.seed,
                    "run": seed.run,
                    "validation_accuracy": seed.validation_accuracy,
                    "time_s": seed.time_s,
                    "environment": dict(seed.environment),
                    "epochs": [asdict(epoch) for epoch in seed.epochs],
                }
                for seed in self.seeds
            ],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Bench:
        """The inverse of ``to_dict``. Raises UserError for anything else."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else None
            raise UserError(f"a bench of format {found!r}; this version of under20k reads {FORMAT}")
        try:
            seeds = tuple(
                SeedResult(
                    check_seed(seed["seed"]),
                    tuple(EpochMetrics(**epoch) for epoch in seed["epochs"]),
                    dict(seed["environment"]),
                    str(seed["run"]),
                )
                for seed in data["seeds"]
            )
            bench = cls(
                Recipe.from_dict(data["recipe"]),
                seeds,
                tuple(map(str, data["failures"])),
                str(data["command"]),
                str(data["date"]),
            )
            if not seeds or any(len(seed.epochs) != bench.recipe.epochs for seed in seeds):
                raise ValueError("epochs are missing")
            bench.statistics  # noqa: B018 - raises where the epochs hold no numbers
        except InvalidValue as error:
            raise UserError(f"damaged: {error}") from error
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise UserError(f"damaged: {type(error).__name__}: {error}") from error
        return bench

    @classmethod
    def open(cls, path: Path) -> Bench:
        """The bench in a folder. Raises UserError where there is none, or it is damaged."""
        if not (path / FILE).is_file():
            raise UserError(f"there is no bench in {path}; make one with 'under20k bench'")
        try:
            return cls.from_dict(read_json(path / FILE))
        except UserError as error:
            raise UserError(f"{path / FILE}: {error}") from error

    def write(self, folder: Path) -> None:
        """Write ``bench.json``, the pictures and ``bench.md``. Raises UserError where that cannot be."""
        from under20k.report.bench import write_bench_report

        write_json(folder / FILE, self.to_dict())
        write_bench_report(self, folder)


@dataclass(frozen=True)
class BenchResult:
    """What ``bench`` gives."""

    bench: Bench
    folder: Path
    other: Bench | None = None
    """What it was compared with, by ``versus``."""
    other_folder: Path | None = None


def bench(
    recipe: Recipe | str,
    seeds: Sequence[int] = range(30),
    *,
    versus: Recipe | str | None = None,
    runs_dir: Path | str = "runs",
    benches_dir: Path | str = "benches",
    engine: str = "auto",
    device: str = "auto",
    threads: int = 1,
    jobs: int | None = None,
    cluster: str | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
    notify: Any = None,
    watcher: Watcher | None = None,
    **changes: Any,
) -> BenchResult:
    """Train ``recipe``, ``changes`` replacing settings, once for each of ``seeds``, and report them together.

    With ``versus``, another recipe is trained on the same seeds. Runs in ``runs_dir`` that the same engine
    and code have finished are reused, unfinished ones go on; what others have trained is an error, unless
    ``overwrite``. ``jobs`` trainings at a time, each on ``threads`` threads of this machine, or the workers
    of the Dask ``cluster`` at that address. A seed whose training fails, which for a process that dies is at
    the second time, is left out and named in ``Bench.failures``. In a script, call it under
    ``if __name__ == "__main__":``, for its processes import the script. Raises UserError for whatever is
    wrong, and where no seed is left.
    """
    from under20k.data import load

    recipe = (named(recipe) if isinstance(recipe, str) else recipe).with_changes(**changes)
    other = named(versus) if isinstance(versus, str) else versus
    check_seeds(seeds)
    check_threads(threads)
    recipes = [recipe] if other is None else [recipe, other]
    if other is not None and recipe.name == other.name:
        raise UserError(
            f"both recipes are called {recipe.name}; compare two, or give the one in a file another name"
        )
    if cluster is None:
        load(data_dir, notify=notify)  # once, rather than in every process at the same time
    # Seed by seed, so that a bench that is stopped has pairs to compare.
    tasks = [
        Task(each, seed, Path(runs_dir), engine, device, threads, data_dir, overwrite)
        for seed in seeds
        for each in recipes
    ]
    outcome = train_all(tasks, watcher or Unwatched(), jobs=jobs, cluster=cluster, same_code=True)
    benches, folders = [], []
    for each in recipes:
        folder = bench_path(Path(benches_dir), each.name, seeds)
        runs = [
            outcome.runs[task.path] for task in tasks if task.recipe == each and task.path in outcome.runs
        ]
        failures = [failure for failure in outcome.failures if failure.task.recipe == each]
        benches.append(_collected(each, runs, failures, folder))
        folders.append(folder)
    for made, folder in zip(benches, folders, strict=True):
        made.write(folder)
    if other is None:
        return BenchResult(benches[0], folders[0])
    return BenchResult(benches[0], folders[0], benches[1], folders[1])


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise UserError unless they are consecutive whole numbers, at least one."""
    if not seeds:
        raise UserError("no seed to train; give a range such as 0-29")
    if len(seeds) > MAX_SEEDS:
        raise UserError(f"{len(seeds)} seeds; at most {MAX_SEEDS} are trained at once")
    check_seed(seeds[0])
    check_seed(seeds[-1])
    if list(seeds) != list(range(seeds[0], seeds[-1] + 1)):
        raise UserError(f"seeds: {list(seeds)}; allowed are consecutive ones, so that none can be picked")


def bench_path(benches_dir: Path, name: str, seeds: Sequence[int]) -> Path:
    """Where the bench of a recipe called ``name`` lies."""
    return benches_dir / f"{safe_name(name)}-seeds-{seeds[0]}-{seeds[-1]}"


def _collected(recipe: Recipe, runs: Sequence[Run], failures: Sequence[Failure], folder: Path) -> Bench:
    if not runs:
        raise UserError(f"{failures[0]} (and no other seed is finished)")
    return Bench(
        recipe,
        tuple(SeedResult.of(run, folder) for run in runs),
        tuple(map(str, failures)),
        command(),
        datetime.now(UTC).date().isoformat(),
    )
