"""The one model of many seeds of a recipe, and ``bench.json``, which keeps them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from under20k.drawing import Drawable
from under20k.errors import UserError, in_words
from under20k.files import check_format, is_present, read_json, write_text
from under20k.formatting import percent, title
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import NOT_CONSECUTIVE, check_seed, consecutive_from_0
from under20k.runs.bench import bench_file
from under20k.runs.bench.significance import (
    Difference,
    Interval,
    confidence_interval,
    exceeds_p,
    share_interval,
)
from under20k.runs.bench.statistics import Sample, Summary, first_at_target
from under20k.runs.distillation import training_time_s
from under20k.runs.metrics import EpochMetrics, epoch_faults, epoch_metrics
from under20k.runs.plausible import environment_faults
from under20k.runs.run import Run

FORMAT = 1
"""Of the plain values; that of the file is ``bench_file.FORMAT``."""
FILE = "bench.json"
DIGEST = "sha256"


TIMED_BY = ("engine", "precision", "instruction_set", "device", "threads", "processor")
"""Entries of an environment that a training's seconds depend on, apart from the recipe."""


def timed_differently(environments: Iterable[Mapping[str, Any]]) -> str:
    """Return how trainings differ in entries that affect their time: ``threads 1 and 2``; else empty.

    A mean of seconds measured differently is marked wherever it is shown.
    """
    environments = list(environments)
    found = []
    for name in TIMED_BY:
        values = list(dict.fromkeys(str(environment.get(name)) for environment in environments))
        if len(values) > 1:
            found.append(f"{name.replace('_', ' ')} {', '.join(values[:-1])} and {values[-1]}")
    return "; ".join(found)


@dataclass(frozen=True)
class SeedResult:
    """One seed's training."""

    seed: int
    epochs: tuple[EpochMetrics, ...]
    environment: Mapping[str, Any]
    run: str = ""
    """Its run folder, relative to the bench folder."""
    test_readings: int = 0
    """How often the test set had been read when this was written down."""

    def __repr__(self) -> str:
        epochs = f"{len(self.epochs)} epoch{'s' * (len(self.epochs) > 1)}"
        return f"SeedResult(seed {self.seed}: validation {percent(self.validation_accuracy)} after {epochs})"

    @property
    def validation_accuracy(self) -> float:
        """At the last epoch: the result."""
        return self.epochs[-1].validation_accuracy

    @property
    def time_s(self) -> float:
        """Seconds of all epochs, evaluation included, and of its teachers' training."""
        return training_time_s(self.epochs, self.environment)

    @property
    def images_per_s(self) -> float:
        """Mean over the epochs, of training alone."""
        return fmean(epoch.images_per_s for epoch in self.epochs)

    @classmethod
    def of(cls, run: Run, folder: Path | None = None) -> SeedResult:
        """Return the result of a finished run, seen from ``folder``.

        Raises UserError where its metrics lack an epoch.
        """
        metrics = run.metrics()
        if len(metrics) != run.recipe.epochs:
            raise UserError(
                f"{run.path} is damaged: {len(metrics)} epochs of metrics for a recipe of "
                f"{run.recipe.epochs}; train it again with --overwrite"
            )
        path = _seen_from(folder, run.path) if folder else ""
        return cls(run.seed, tuple(metrics), run.session, path, len(run.test_readings()))


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"test_readings is {value!r:.80}")
    return value


def _seen_from(folder: Path, path: Path) -> str:
    """Return ``path`` relative to ``folder``, with slashes; in full where they are on two Windows drives."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


@dataclass(frozen=True)
class Statistics:
    """Statistics of several seeds' last epochs. Accuracies are fractions, on validation."""

    summary: Summary
    interval: Interval | None
    """95% for the mean; None for a single seed."""
    share_interval: Interval
    """95% for the fraction of all seeds, not only these, at or above the target at the last epoch."""
    target: float
    p_exceeds_target: float | None
    """p-value of Student's t-test, H₀: mean ≤ target; None for a single seed."""
    time_s: Sample
    """Seconds of a training."""
    images_per_s: Sample

    @classmethod
    def of(cls, seeds: Sequence[SeedResult]) -> Statistics:
        """Return the statistics of at least one seed."""
        summary = Summary.of([[epoch.validation_accuracy for epoch in seed.epochs] for seed in seeds])
        return cls(
            summary,
            confidence_interval(summary.last),
            share_interval(summary.reached_at_last, summary.n),
            TARGET_ACCURACY,
            exceeds_p(summary.last, TARGET_ACCURACY),
            Sample.of([seed.time_s for seed in seeds]),
            Sample.of([seed.images_per_s for seed in seeds]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
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
            "share_interval_95": list(self.share_interval),
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


def digest(values: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of plain values without their own digest."""
    rest = {name: value for name, value in values.items() if name != DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Bench(Drawable):
    """A recipe's finished seeds, in their order; at least one."""

    recipe: Recipe
    seeds: tuple[SeedResult, ...]
    failures: tuple[str, ...] = ()
    """Reasons of the trainings that failed; no figure counts them."""
    command: str = ""
    date: str = ""

    def __repr__(self) -> str:
        first, last, n = self.seeds[0].seed, self.seeds[-1].seed, len(self.seeds)
        gap = "–" if last - first == n - 1 else ", …, "
        seeds = f"seed {first}" if self.single else f"{n} seeds {first}{gap}{last}"
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"Bench({title(self.recipe.name)}, {seeds}{failed}, validation {self.summary.last})"

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        folder: Path | None = None,
        *,
        failures: Sequence[str] = (),
        command: str = "",
        date: str = "",
    ) -> Bench:
        """Return the bench of finished runs of one recipe, one run a seed.

        Args:
            runs: At least one, in the order of their seeds.
            folder: Where ``bench.json`` goes; the seeds name their runs as seen from there.
            failures: Why other seeds are missing, a sentence each.
            command: The command line that trained them.
            date: Of today, in ISO 8601.

        Raises:
            UserError: A run is not finished, damaged or of another recipe, or a seed comes twice.
        """
        if not runs:
            raise UserError("no run to report")
        for run in runs:
            if not run.finished:
                raise UserError(f"{run.path} is not finished; continue it with 'under20k train'")
            if differences := run.recipe.differences(runs[0].recipe):
                raise UserError(
                    f"{run.path} differs from {runs[0].path} in {', '.join(differences)}; "
                    "runs of different recipes have no common mean"
                )
        seeds = [run.seed for run in runs]
        if repeated := {seed for seed in seeds if seeds.count(seed) > 1}:
            raise UserError(
                f"{runs[0].recipe.name}: more than one run of seed {min(repeated)}; give each seed once"
            )
        results = tuple(SeedResult.of(run, folder) for run in runs)
        return cls(runs[0].recipe, results, tuple(failures), command, date)

    @property
    def single(self) -> bool:
        """Whether there is one seed only: figures are then values, not means."""
        return len(self.seeds) == 1

    @cached_property
    def statistics(self) -> Statistics:
        return Statistics.of(self.seeds)

    @property
    def summary(self) -> Summary:
        """Last and best epochs of the seeds."""
        return self.statistics.summary

    def validation(self, epoch: int) -> Sample:
        """Return the seeds' validation accuracies after ``epoch``, counted from 1."""
        return Sample.of([seed.epochs[epoch - 1].validation_accuracy for seed in self.seeds])

    def training(self, epoch: int) -> Sample:
        """Return the seeds' training accuracies during ``epoch``, counted from 1."""
        return Sample.of([seed.epochs[epoch - 1].train_accuracy for seed in self.seeds])

    @property
    def gap(self) -> float:
        """Mean training minus mean validation accuracy at the last epoch."""
        return self.training(self.recipe.epochs).mean - self.validation(self.recipe.epochs).mean

    @cached_property
    def first_hits(self) -> list[int | None]:
        """For each seed, the first epoch with validation accuracy at or above the target, if any."""
        return [first_at_target([epoch.validation_accuracy for epoch in seed.epochs]) for seed in self.seeds]

    @property
    def times_differ_in(self) -> str:
        """``timed_differently`` of the seeds."""
        return timed_differently(seed.environment for seed in self.seeds)

    @property
    def not_a_claim(self) -> str:
        """Why the mean is not a claim: seeds that could have been picked; empty for seeds from 0 on."""
        return "" if consecutive_from_0([seed.seed for seed in self.seeds]) else NOT_CONSECUTIVE

    @property
    def last(self) -> list[float]:
        """Each seed's validation accuracy at the last epoch."""
        return [seed.validation_accuracy for seed in self.seeds]

    def versus(self, other: Bench) -> Difference:
        """Return these accuracies minus another bench's, paired by seed.

        Raises UserError where they have no seed in common.
        """
        theirs = {seed.seed: seed.validation_accuracy for seed in other.seeds}
        pairs = [(seed.validation_accuracy, theirs[seed.seed]) for seed in self.seeds if seed.seed in theirs]
        if not pairs:
            raise UserError(f"{self.recipe.name} and {other.recipe.name} have no seed in common")
        return Difference.of(*zip(*pairs, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, with a digest of them all."""
        values = {
            "format": FORMAT,
            "command": self.command,
            "date": self.date,
            "recipe": self.recipe.to_dict(),
            "parameters": self.recipe.architecture.parameters,
            "macs": self.recipe.architecture.macs,
            "statistics": self.statistics.to_dict(),
            **({"times_differ_in": self.times_differ_in} if self.times_differ_in else {}),
            **({"not_a_claim": self.not_a_claim} if self.not_a_claim else {}),
            "failures": list(self.failures),
            "seeds": [
                {
                    "seed": seed.seed,
                    "run": seed.run,
                    "validation_accuracy": seed.validation_accuracy,
                    "time_s": seed.time_s,
                    "test_readings": seed.test_readings,
                    "environment": dict(seed.environment),
                    "epochs": [asdict(epoch) for epoch in seed.epochs],
                }
                for seed in self.seeds
            ],
        }
        return {**values, DIGEST: digest(values)}

    @classmethod
    def from_dict(cls, data: Any) -> Bench:
        """Return the bench of plain values, or of the content of ``bench.json``, in format 1 or 2.

        The first versions wrote no digest. Raises UserError for anything else.
        """
        data = check_format(data, (FORMAT, bench_file.FORMAT), "a bench")
        try:
            if data["format"] == bench_file.FORMAT:
                data = bench_file.unpacked(data)
            seeds = tuple(
                SeedResult(
                    check_seed(seed["seed"]),
                    tuple(epoch_metrics(epoch) for epoch in seed["epochs"]),
                    dict(seed["environment"]),
                    str(seed["run"]),
                    _count(seed.get("test_readings", 0)),
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
            numbers = [seed.seed for seed in seeds]
            if sorted(set(numbers)) != numbers:
                raise ValueError(f"its seeds are {numbers!s:.80}; each comes once, in order")
            for seed in seeds:
                of_seed = epoch_faults(seed.epochs, bench.recipe) + environment_faults(seed.environment)
                for fault in of_seed:
                    raise ValueError(f"seed {seed.seed}: {fault}")
            if data.get(DIGEST, made := digest(data)) != made:
                raise ValueError("its SHA-256 does not match: the file was changed; bench again")
        except ValueError as error:
            raise UserError(f"damaged: {error}") from error
        except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise UserError(f"damaged: {in_words(error)}") from error
        return bench

    def write(self, folder: Path) -> None:
        """Write ``bench.json``. Raises UserError where it cannot be written."""
        write_text(folder / FILE, bench_file.bench_text(self.to_dict()))

    @classmethod
    def open(cls, path: Path) -> Bench:
        """Return the bench in a folder. Raises UserError if it is missing or damaged."""
        if not is_present(path / FILE):
            raise UserError(f"there is no bench in {path}; make one with 'under20k bench'")
        try:
            return cls.from_dict(read_json(path / FILE))
        except UserError as error:
            raise UserError(f"{path / FILE}: {error}") from error


class Benches(Drawable, list[Bench]):
    """A list of benches, which a notebook shows as a table."""

    def __repr__(self) -> str:
        shown = [f"{title(bench.recipe.name)} {bench.summary.last}" for bench in self]
        return f"Benches({', '.join(shown)})"
