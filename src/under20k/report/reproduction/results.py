"""One recipe's runs, one a seed, and the figures that follow from their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from statistics import fmean

from under20k.errors import UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.limits import PARAMETER_LIMIT
from under20k.recipe.recipe import Recipe
from under20k.report.reproduction.target import Standing
from under20k.report.words import enumeration, plural, ranges
from under20k.runs.bench.bench import timed_differently
from under20k.runs.bench.statistics import Sample, Summary, first_at_target
from under20k.runs.distillation import training_time_s
from under20k.runs.metrics import EpochMetrics
from under20k.runs.run import Run


@dataclass(frozen=True)
class Drop:
    """A fall of the learning rate between two epochs, and what validation did."""

    epoch: int
    """The first epoch at the lower rate."""
    before: float
    after: float
    """Learning rates."""
    validation_before: float
    validation_after: float
    """Accuracies after the last epoch at the higher rate and the first at the lower, means over the seeds."""

    @property
    def gain(self) -> float:
        """By how much validation accuracy rose."""
        return self.validation_after - self.validation_before


@dataclass(frozen=True)
class Results:
    """The finished runs of one recipe. Accuracies are fractions; "mean" is over the seeds."""

    name: str
    runs: tuple[Run, ...]
    metrics: tuple[tuple[EpochMetrics, ...], ...] = field(repr=False)
    """Of each run, epoch by epoch."""

    @classmethod
    def of(cls, name: str, runs: Sequence[Run]) -> Results:
        """Read the metrics of at least one run.

        Raises UserError where a run is not finished, has another recipe than the first, or repeats a seed.
        """
        if not runs:
            raise UserError(f"{name}: no run to report")
        for run in runs:
            if not run.finished:
                raise UserError(f"{run.path} is not finished; go on with 'under20k train … --resume'")
            if differences := run.recipe.differences(runs[0].recipe):
                raise UserError(
                    f"{run.path} differs from {runs[0].path} in {enumeration(list(differences))}; "
                    "runs of different recipes have no common mean"
                )
        seeds = [run.seed for run in runs]
        if repeated := {seed for seed in seeds if seeds.count(seed) > 1}:
            raise UserError(f"{name}: more than one run of seed {min(repeated)}; give each seed once")
        metrics = tuple(tuple(run.metrics()) for run in runs)
        for run, epochs in zip(runs, metrics, strict=True):
            if len(epochs) != run.recipe.epochs:
                raise UserError(
                    f"{run.path} is damaged: {plural(len(epochs), 'epoch')} of metrics for a recipe of "
                    f"{run.recipe.epochs}; train it again with --overwrite"
                )
        return cls(name, tuple(runs), metrics)

    @property
    def recipe(self) -> Recipe:
        return self.runs[0].recipe

    @property
    def epochs(self) -> int:
        return len(self.metrics[0])

    @property
    def single(self) -> bool:
        """Whether there is one seed only: figures are then values, not means."""
        return len(self.runs) == 1

    @property
    def seeds(self) -> str:
        """``seed 0`` or ``10 seeds (0–9)``."""
        if self.single:
            return f"seed {self.runs[0].seed}"
        return f"{len(self.runs)} seeds ({ranges([run.seed for run in self.runs])})"

    @property
    def share_of_limit(self) -> float:
        """Parameters as a fraction of the specification's limit."""
        return self.recipe.architecture.parameters / PARAMETER_LIMIT

    @cached_property
    def histories(self) -> list[list[float]]:
        """Validation accuracies of each run, epoch by epoch."""
        return [[epoch.validation_accuracy for epoch in run] for run in self.metrics]

    @cached_property
    def summary(self) -> Summary:
        """Of the validation accuracies."""
        return Summary.of(self.histories)

    @property
    def standing(self) -> Standing:
        """How it stands to the target."""
        return Standing(self.recipe, self.summary)

    def validation(self, epoch: int) -> Sample:
        """The seeds' validation accuracies after ``epoch``, counted from 1."""
        return Sample.of([history[epoch - 1] for history in self.histories])

    def training(self, epoch: int) -> Sample:
        """The seeds' training accuracies during ``epoch``, counted from 1."""
        return Sample.of([run[epoch - 1].train_accuracy for run in self.metrics])

    def gap(self, epoch: int) -> float:
        """Mean training minus mean validation accuracy."""
        return self.training(epoch).mean - self.validation(epoch).mean

    @cached_property
    def first_hits(self) -> list[int | None]:
        """For each run, the first epoch with validation accuracy at or above the target, if any."""
        return [first_at_target(history) for history in self.histories]

    @property
    def best_epoch(self) -> int:
        """Of a single run, the first epoch with the highest validation accuracy."""
        (history,) = self.histories
        return 1 + history.index(max(history))

    @cached_property
    def drops(self) -> list[Drop]:
        """Where the learning rate dropped, and how validation stood around it."""
        return [
            Drop(
                epoch=after.epoch,
                before=before.learning_rate,
                after=after.learning_rate,
                validation_before=self.validation(before.epoch).mean,
                validation_after=self.validation(after.epoch).mean,
            )
            for before, after in drops(self.recipe, self.metrics[0])
        ]

    @property
    def seconds(self) -> float:
        """Mean time of a whole training, evaluation and its teachers included."""
        return fmean(
            training_time_s(epochs, run.session) for run, epochs in zip(self.runs, self.metrics, strict=True)
        )

    @property
    def times_differ_in(self) -> str:
        """As in ``Bench``."""
        return timed_differently(run.session for run in self.runs)

    @property
    def images_per_s(self) -> float:
        """Mean training speed, training alone."""
        return fmean(epoch.images_per_s for run in self.metrics for epoch in run)


def by_architecture(results: Sequence[Results]) -> list[list[Results]]:
    """The recipes in groups of the same architecture, in the order of each one's first."""
    groups: dict[Architecture, list[Results]] = {}
    for result in results:
        groups.setdefault(result.recipe.architecture, []).append(result)
    return list(groups.values())


def names_of(results: Sequence[Results]) -> str:
    """``regularized and regularized-plus``."""
    return enumeration([result.name for result in results])


def drops(recipe: Recipe, metrics: Sequence[EpochMetrics]) -> list[tuple[EpochMetrics, EpochMetrics]]:
    """The pairs of neighbouring epochs between which a step schedule lowered the learning rate.

    Other schedules change it all the time, or never: they have no drops.
    """
    if recipe.schedule.schedule != "step":
        return []
    return [
        (before, after) for before, after in pairwise(metrics) if after.learning_rate < before.learning_rate
    ]
