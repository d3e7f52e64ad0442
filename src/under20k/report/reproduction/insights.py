"""The specification's insights, as what this run's numbers say about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from under20k.formatting import percent, points
from under20k.report.reproduction.assignment import DROP_EPOCH, FC_PARAMETERS_SAVED, SPECIFIED, UNTESTED
from under20k.report.reproduction.comparison import Row, first_epoch_text, side_by_side
from under20k.report.reproduction.pooling import HeadCost
from under20k.report.reproduction.results import Drop, Results, by_architecture, names_of
from under20k.report.tables import Table
from under20k.report.words import NOTHING, TARGET, enumeration


def insights_table(results: Sequence[Results]) -> Table:
    """The learning-rate drop, the gap and the pooling, in numbers."""

    def at_drop(text: Callable[[Drop], str]) -> Callable[[Results], str]:
        return lambda r: text(r.drops[0]) if r.drops else NOTHING

    def of_head(text: Callable[[HeadCost], str]) -> Callable[[Results], str]:
        return lambda r: text(HeadCost.of(r.recipe.architecture))

    rows = [
        Row(
            "First epoch at a lower learning rate",
            at_drop(lambda d: str(d.epoch)),
            lambda s: str(DROP_EPOCH),
        ),
        Row(
            "Validation before the drop",
            at_drop(lambda d: percent(d.validation_before)),
            lambda s: percent(s.validation_around_drop[0]),
        ),
        Row(
            "Validation after the drop",
            at_drop(lambda d: percent(d.validation_after)),
            lambda s: percent(s.validation_around_drop[1]),
        ),
        Row(
            "Change at the drop, points",
            at_drop(lambda d: points(d.gain)),
            lambda s: points(s.validation_around_drop[1] - s.validation_around_drop[0]),
        ),
        Row(
            "Training − validation at the last epoch, points",
            lambda r: points(r.gap(r.epochs)),
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
    return side_by_side("Measure", rows, results, "Measured, beside what the specification reports")


def insights(results: Sequence[Results]) -> list[str]:
    """A sentence or two on each insight of the specification."""
    return [
        *filter(None, [drop_insight(results), speed_insight(results), gap_insight(results)]),
        *(
            f"Pooling, {names_of(group)}: {HeadCost.of(group[0].recipe.architecture).sentences()}"
            for group in by_architecture(results)
        ),
        f"Not tested here, and without a figure in the specification: that {enumeration(UNTESTED)}.",
    ]


def drop_insight(results: Sequence[Results]) -> str:
    """What validation did when the learning rate fell; empty where it never fell."""
    parts = [
        f"from {percent(drop.validation_before)} to {percent(drop.validation_after)} ({points(drop.gain)} "
        f"points) in epoch {drop.epoch} for {result.name}"
        for result in results
        for drop in result.drops
    ]
    return f"Learning-rate drop: validation accuracy went {enumeration(parts)}." if parts else ""


def speed_insight(results: Sequence[Results]) -> str:
    """Who reached the target when, and how they stood after equally many epochs."""
    hits = [(result.name, first_epoch_text(result)) for result in results]
    parts = [f"{'in no epoch' if hit == 'none' else f'in epoch {hit}'} by {name}" for name, hit in hits]
    text = f"Epochs to {TARGET}: reached first {enumeration(parts)}."
    if len({result.epochs for result in results}) < 2:
        return text
    common = min(result.epochs for result in results)
    equal = [f"{percent(result.validation(common).mean)} for {result.name}" for result in results]
    return f"{text} After epoch {common}, the last that all trained, validation is {enumeration(equal)}."


def gap_insight(results: Sequence[Results]) -> str:
    """How far training accuracy lies above validation accuracy, and what the specification calls that."""
    gaps = [f"{points(result.gap(result.epochs))} points for {result.name}" for result in results]
    text = (
        f"Overfitting: training minus validation accuracy at the last epoch is {enumeration(gaps)}. "
        "Training accuracy is counted in training mode, where dropout and augmentation lower it."
    )
    words = [
        f"“{SPECIFIED[result.name].training_pattern}” and “{SPECIFIED[result.name].generalization}” for "
        f"{result.name}"
        for result in results
        if result.name in SPECIFIED
    ]
    return f"{text} The specification's words are {enumeration(words)}." if words else text
