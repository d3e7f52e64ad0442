"""The assignment's insights, and the evidence from the seeds for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from under20k.formatting import percent, points
from under20k.report.reproduction.assignment import DROP_EPOCH, FC_PARAMETERS_SAVED, SPECIFIED, UNTESTED
from under20k.report.reproduction.comparison import (
    Row,
    by_architecture,
    first_epoch_text,
    names_of,
    points_of,
    side_by_side,
)
from under20k.report.reproduction.pooling import HeadCost
from under20k.report.tables import Table
from under20k.report.words import NOTHING, TARGET, enumeration
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import Sample
from under20k.runs.metrics import learning_rate_drops


@dataclass(frozen=True)
class Drop:
    """A drop of the learning rate between two epochs, and validation accuracy around it."""

    epoch: int
    """The first epoch at the lower rate."""
    before: Sample
    after: Sample
    """The seeds' accuracies after the last epoch at the higher rate and the first at the lower."""

    @property
    def gain(self) -> float:
        """Increase of mean validation accuracy."""
        return self.after.mean - self.before.mean


def drops(bench: Bench) -> list[Drop]:
    """Return where the learning rate dropped, and the accuracies around each drop."""
    return [
        Drop(after.epoch, bench.validation(before.epoch), bench.validation(after.epoch))
        for before, after in learning_rate_drops(bench.recipe, bench.seeds[0].epochs)
    ]


def insights_table(benches: Sequence[Bench]) -> Table:
    """Return the learning-rate drop, the gap and the pooling, in numbers."""

    def at_drop(text: Callable[[Bench, Drop], str]) -> Callable[[Bench], str]:
        return lambda bench: text(bench, found[0]) if (found := drops(bench)) else NOTHING

    def of_head(text: Callable[[HeadCost], str]) -> Callable[[Bench], str]:
        return lambda bench: NOTHING if bench.recipe.own else text(HeadCost.of(bench.recipe.in_notation))

    rows = [
        Row(
            "First epoch at a lower learning rate",
            at_drop(lambda _, d: str(d.epoch)),
            lambda s: str(DROP_EPOCH),
        ),
        Row(
            "Validation before the drop",
            at_drop(lambda _, d: str(d.before)),
            lambda s: percent(s.validation_around_drop[0]),
        ),
        Row(
            "Validation after the drop",
            at_drop(lambda _, d: str(d.after)),
            lambda s: percent(s.validation_around_drop[1]),
        ),
        Row(
            "Change at the drop, points",
            at_drop(lambda b, d: points_of(b, d.gain)),
            lambda s: points(s.validation_around_drop[1] - s.validation_around_drop[0]),
        ),
        Row(
            "Training − validation at the last epoch, points",
            lambda b: points_of(b, b.gap),
            lambda s: points(s.last_training - s.last_validation),
        ),
        Row("Parameters of the head", of_head(lambda h: f"{h.head:,}")),
        Row("Fully connected layer on the same maps", of_head(lambda h: f"{h.connected:,}")),
        Row(
            "Parameters that global average pooling saves",
            of_head(lambda h: f"{h.saved:,}"),
            lambda s: FC_PARAMETERS_SAVED,
        ),
    ]
    return side_by_side(rows, benches)


def insights(benches: Sequence[Bench]) -> list[str]:
    """Return a sentence or two on each insight of the assignment."""
    return [
        *filter(None, [drop_insight(benches), speed_insight(benches), gap_insight(benches)]),
        *(
            f"Pooling, {names_of(group)}: {HeadCost.of(group[0].recipe.in_notation).sentences()}"
            for group in by_architecture([bench for bench in benches if not bench.recipe.own])
        ),
        f"Not tested here, and without a figure in the assignment: that {enumeration(UNTESTED)}.",
    ]


def drop_insight(benches: Sequence[Bench]) -> str:
    """Return how validation changed when the learning rate dropped; empty where it never did."""
    parts = [
        f"from {drop.before} to {drop.after} ({points_of(bench, drop.gain)} "
        f"points) in epoch {drop.epoch} for {bench.recipe.name}"
        for bench in benches
        for drop in drops(bench)
    ]
    return f"Learning-rate drop: validation accuracy went {enumeration(parts)}." if parts else ""


def speed_insight(benches: Sequence[Bench]) -> str:
    """Return when each recipe reached the target, and the accuracies after equally many epochs."""
    hits = [(bench.recipe.name, first_epoch_text(bench)) for bench in benches]
    parts = [f"{'in no epoch' if hit == 'none' else f'in epoch {hit}'} by {name}" for name, hit in hits]
    text = f"Epochs to {TARGET}: reached first {enumeration(parts)}."
    if len({bench.recipe.epochs for bench in benches}) < 2:
        return text
    common = min(bench.recipe.epochs for bench in benches)
    equal = [f"{bench.validation(common)} for {bench.recipe.name}" for bench in benches]
    return f"{text} After epoch {common}, the last that all trained, validation is {enumeration(equal)}."


def gap_insight(benches: Sequence[Bench]) -> str:
    """Return how far training accuracy is above validation accuracy, and the assignment's words for it."""
    gaps = [f"{points_of(bench, bench.gap)} points for {bench.recipe.name}" for bench in benches]
    text = (
        f"Overfitting: training minus validation accuracy at the last epoch is {enumeration(gaps)}. "
        "Training accuracy is counted in training mode, where dropout and augmentation lower it."
    )
    names = [bench.recipe.name for bench in benches if bench.recipe.name in SPECIFIED]
    words = [
        f"“{SPECIFIED[name].training_pattern}” and “{SPECIFIED[name].generalization}” for {name}"
        for name in names
    ]
    return f"{text} The assignment's words are {enumeration(words)}." if words else text
