"""Recipes side by side, each with what the specification reports of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from under20k.formatting import percent, points
from under20k.recipe.limits import PARAMETER_LIMIT
from under20k.report.reproduction.assignment import SPECIFIED, SpecifiedModel
from under20k.report.reproduction.results import Results
from under20k.report.tables import Table
from under20k.report.words import NOTHING, TARGET, mark, plural
from under20k.runs.bench.statistics import reaches_target
from under20k.runs.run import Run


@dataclass(frozen=True)
class Row:
    """A row of a comparison: how to read it from our runs and from the specification."""

    label: str
    ours: Callable[[Results], str]
    specified: Callable[[SpecifiedModel], str] = lambda _: NOTHING


def comparison_table(runs: Mapping[str, Sequence[Run]]) -> Table:
    """The models beside each other and beside the specification. ``runs``: by recipe, one a seed.

    Raises UserError as ``Results.of`` does.
    """
    return compare([Results.of(name, of_recipe) for name, of_recipe in runs.items()])


def compare(results: Sequence[Results]) -> Table:
    """``comparison_table`` of results already read."""
    single = all(result.single for result in results)
    mean = "" if single else ", mean"
    rows = [
        Row("Parameters", lambda r: f"{r.recipe.architecture.parameters:,}", lambda s: f"{s.parameters:,}"),
        Row(
            f"Share of the {PARAMETER_LIMIT:,} limit",
            lambda r: percent(r.share_of_limit, 1),
            lambda s: percent(s.parameters / PARAMETER_LIMIT, 1),
        ),
        Row("Seeds", lambda r: str(r.summary.n), lambda s: "1"),
        Row("Epochs", lambda r: str(r.epochs), lambda s: str(len(s.epochs))),
        Row(f"First epoch ≥ {TARGET}", first_epoch_text, lambda s: str(s.first_epoch_at_target)),
        Row(
            f"Last-epoch validation accuracy{mean}",
            lambda r: str(r.summary.last),
            lambda s: percent(s.last_validation),
        ),
        *seed_rows(single),
        Row(
            f"Last-epoch training accuracy{mean}",
            lambda r: str(r.training(r.epochs)),
            lambda s: percent(s.last_training),
        ),
        Row(
            "Training − validation, points",
            lambda r: points(r.gap(r.epochs)),
            lambda s: points(s.last_training - s.last_validation),
        ),
        Row("Seconds per training", lambda r: f"{r.seconds:,.1f}{mark(r.times_differ_in)}"),
    ]
    return side_by_side("Measure", rows, results, "Measured, beside what the specification reports")


def seed_rows(single: bool) -> list[Row]:
    """How the seeds stand to the target; of a single one, its last epoch and its best."""
    best = Row("Best-epoch validation (selected, not the result)", lambda r: str(r.summary.best))
    if single:
        reached = Row(
            f"≥ {TARGET} at the last epoch",
            lambda r: "yes" if r.summary.reached_at_last else "no",
            lambda s: "yes" if reaches_target(s.last_validation) else "no",
        )
        return [reached, best]
    return [
        Row("Lowest and highest seed", lambda r: r.summary.last.range),
        Row(f"Seeds ≥ {TARGET} at the last epoch", lambda r: of_seeds(r.summary.reached_at_last, r)),
        Row(f"Seeds ≥ {TARGET} at any epoch", lambda r: of_seeds(r.summary.reached_at_any, r)),
        best,
    ]


def side_by_side(title: str, rows: Sequence[Row], results: Sequence[Results], caption: str) -> Table:
    """A column for each recipe, and one for the specification where it reports that recipe."""
    header = [title]
    cells = [[row.label] for row in rows]
    for result in results:
        specified = SPECIFIED.get(result.name)
        header += [result.name, *["specified"] * bool(specified)]
        for row, line in zip(rows, cells, strict=True):
            line += [row.ours(result), *([row.specified(specified)] if specified else [])]
    return Table(tuple(header), tuple(map(tuple, cells)), caption=caption)


def first_epoch_text(results: Results) -> str:
    """The first epoch at the target: ``12``, of several seeds ``9–12 (6 of 10 seeds)``, or ``none``."""
    hits = [epoch for epoch in results.first_hits if epoch is not None]
    if not hits:
        return "none"
    if results.single:
        return str(hits[0])
    span = f"{min(hits)}–{max(hits)}" if min(hits) < max(hits) else str(hits[0])
    return f"{span} ({of_seeds(len(hits), results)})"


def of_seeds(count: int, results: Results) -> str:
    """``6 of 12``."""
    return f"{count} of {plural(results.summary.n, 'seed')}"
