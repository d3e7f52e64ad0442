"""Which recipes reach the target, and which do not: the question that a reproduction answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.recipe.recipe import Recipe
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.tables import Table
from under20k.report.words import NOTHING, TARGET, enumeration, p_text, plural
from under20k.runs.bench.significance import exceeds_p
from under20k.runs.bench.statistics import Summary, reaches_target


@dataclass(frozen=True)
class Standing:
    """A recipe, and what its seeds say."""

    recipe: Recipe
    summary: Summary

    @property
    def reaches(self) -> bool:
        """Whether the mean of the last epochs is at or above the target; of one seed, its last epoch."""
        return reaches_target(self.summary.last.mean)


def target_table(standings: Sequence[Standing]) -> Table:
    """A row a recipe: its last epochs, and how they stand to the target."""
    header = (
        "Recipe",
        "Parameters",
        "Epochs",
        "Validation accuracy, last epoch",
        f"Reaches {TARGET}",
        f"Seeds ≥ {TARGET}, last epoch",
        "at any epoch",
        f"p that the mean exceeds {TARGET}",
        "Specification reports",
    )
    rows = []
    for standing in standings:
        recipe, summary = standing.recipe, standing.summary
        p, specified = exceeds_p(summary.last, TARGET_ACCURACY), SPECIFIED.get(recipe.name)
        rows.append(
            (
                recipe.name,
                f"{recipe.architecture.parameters:,}",
                str(recipe.epochs),
                str(summary.last),
                "yes" if standing.reaches else "NO",
                f"{summary.reached_at_last} of {summary.n}",
                f"{summary.reached_at_any} of {summary.n}",
                p_text(p),
                percent(specified.last_validation) if specified else NOTHING,
            )
        )
    return Table(header, tuple(rows))


def target_text(standings: Sequence[Standing]) -> str:
    """Which reach the target and which do not, in a sentence each; at least one recipe."""
    sizes = sorted({standing.summary.n for standing in standings})
    over = (
        "one seed each" if sizes == [1] else f"by the mean over {enumeration([str(n) for n in sizes])} seeds"
    )
    reached, missed = (
        [f"{each.recipe.name} ({share_text(each)})" for each in standings if each.reaches == reaches]
        for reaches in (True, False)
    )
    return (
        f"At or above {TARGET} at the last epoch, {over}: {enumeration(reached or ['none'])}. "
        f"Below it: {enumeration(missed or ['none'])}."
    )


def share_text(standing: Standing) -> str:
    """``8 of 10 seeds``; of a single seed its accuracy."""
    summary = standing.summary
    if summary.n == 1:
        return percent(summary.last.mean)
    return f"{summary.last}; {summary.reached_at_last} of {plural(summary.n, 'seed')}"
