"""Recipes side by side, each with the assignment's own figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from under20k.formatting import percent, points
from under20k.recipe.architecture import Architecture
from under20k.recipe.limits import PARAMETER_LIMIT
from under20k.recipe.own_model import OwnModel
from under20k.report.bench import fraction_of_limit, in_points
from under20k.report.reproduction.assignment import SPECIFIED, SpecifiedModel
from under20k.report.tables import Table
from under20k.report.words import NOTHING, TARGET, enumeration, mark, of_seeds, signed
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target

CAPTION = "Measured, and as the assignment reports"


@dataclass(frozen=True)
class Row:
    """A row of a comparison: how to read it from a bench and from the assignment."""

    label: str
    ours: Callable[[Bench], str]
    specified: Callable[[SpecifiedModel], str] = lambda _: NOTHING


def comparison_table(benches: Sequence[Bench]) -> Table:
    """Return the recipes side by side, with the assignment."""
    single = all(bench.single for bench in benches)
    mean = "" if single else ", mean"
    rows = [
        Row("Parameters", lambda b: f"{b.recipe.architecture.parameters:,}", lambda s: f"{s.parameters:,}"),
        Row(
            f"Fraction of the {PARAMETER_LIMIT:,} limit",
            fraction_of_limit,
            lambda s: percent(s.parameters / PARAMETER_LIMIT, 1),
        ),
        Row("Seeds", lambda b: str(b.summary.n), lambda s: "1"),
        Row("Epochs", lambda b: str(b.recipe.epochs), lambda s: str(len(s.epochs))),
        Row(f"First epoch ≥ {TARGET}", first_epoch_text, lambda s: str(s.first_epoch_at_target)),
        Row(
            f"Last-epoch validation accuracy{mean}",
            lambda b: str(b.summary.last),
            lambda s: percent(s.last_validation),
        ),
        *seed_rows(single),
        Row(
            f"Last-epoch training accuracy{mean}",
            lambda b: str(b.training(b.recipe.epochs)),
            lambda s: percent(s.last_training),
        ),
        Row(
            "Training − validation, points",
            lambda b: points_of(b, b.gap),
            lambda s: points(s.last_training - s.last_validation),
        ),
        Row("Seconds per training", lambda b: f"{b.statistics.time_s.mean:,.1f}{mark(b.times_differ_in)}"),
    ]
    return side_by_side(rows, benches)


def seed_rows(single: bool) -> list[Row]:
    """Return how the seeds compare to the target; of a single one, its last epoch and its best."""
    best = Row("Best-epoch validation (selected, not the result)", lambda b: str(b.summary.best))
    if single:
        reached = Row(
            f"≥ {TARGET} at the last epoch",
            lambda b: yes_or_no(b.summary.reached_at_last == b.summary.n),
            lambda s: yes_or_no(reaches_target(s.last_validation)),
        )
        return [reached, best]
    return [
        Row("Lowest and highest seed", lambda b: b.summary.last.range),
        Row(
            f"Seeds ≥ {TARGET} at the last epoch",
            lambda b: of_seeds(b.summary.reached_at_last, b.summary.n),
        ),
        Row(f"Seeds ≥ {TARGET} at any epoch", lambda b: of_seeds(b.summary.reached_at_any, b.summary.n)),
        best,
    ]


def side_by_side(rows: Sequence[Row], benches: Sequence[Bench]) -> Table:
    """Return a column for each recipe, and one for the assignment where it reports that recipe."""
    header, groups = ["Measure"], []
    cells = [[row.label] for row in rows]
    for bench in benches:
        specified = SPECIFIED.get(bench.recipe.name)
        titles = [bench.recipe.name, *["assignment"] * bool(specified)]
        header += titles
        groups.append(len(titles))
        for row, line in zip(rows, cells, strict=True):
            line += [row.ours(bench), *([row.specified(specified)] if specified else [])]
    return Table(tuple(header), tuple(map(tuple, cells)), caption=CAPTION, groups=tuple(groups))


def yes_or_no(reached: bool) -> str:
    """Return ``✓ yes`` or ``✗ no``."""
    return signed(reached, "yes" if reached else "no")


def points_of(bench: Bench, difference: float) -> str:
    """Return a difference of a bench's accuracies, or of their means, to as many digits as these have."""
    return points(difference) if bench.single else in_points(difference, sign=True)


def first_epoch_text(bench: Bench) -> str:
    """Return the first epoch at the target: ``12``, over seeds ``9–12 (6 of 10 seeds)``, or ``none``."""
    hits = [epoch for epoch in bench.first_hits if epoch is not None]
    if not hits:
        return "none"
    if bench.single:
        return str(hits[0])
    span = f"{min(hits)}–{max(hits)}" if min(hits) < max(hits) else str(hits[0])
    return f"{span} ({of_seeds(len(hits), bench.summary.n)})"


def by_architecture(benches: Sequence[Bench]) -> list[list[Bench]]:
    """Return the recipes in groups of the same architecture, in the order of each one's first."""
    groups: dict[Architecture | OwnModel, list[Bench]] = {}
    for bench in benches:
        groups.setdefault(bench.recipe.architecture, []).append(bench)
    return list(groups.values())


def names_of(benches: Sequence[Bench]) -> str:
    """Return ``regularized and regularized-plus``."""
    return enumeration([bench.recipe.name for bench in benches])
