"""A user's own model beside the networks that come with the package: the assignment's and the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from under20k.deploy.card import Card, cards
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.report.tables import Table
from under20k.report.words import marked
from under20k.runs.bench.bench import Bench

THIS = "this bench"


def beside_table(benches: Sequence[Bench], names: Sequence[str]) -> Table:
    """Return a row for each bench and each network of the package, the best mean first."""
    rows = [
        (
            bench.summary.last.mean,
            (
                name,
                marked(bench.summary.last.mean, str(bench.summary.last)),
                str(len(bench.seeds)),
                f"{bench.recipe.architecture.parameters:,}",
                str(bench.recipe.epochs),
                THIS,
            ),
        )
        for bench, name in zip(benches, names, strict=True)
    ]
    rows += [
        (
            card.validation.mean,
            (
                card.name,
                marked(card.validation.mean, str(card.validation)),
                str(card.validation.n),
                f"{card.recipe.architecture.parameters:,}",
                str(card.recipe.epochs),
                _kind(card),
            ),
        )
        for card in cards().values()
    ]
    rows.sort(key=lambda row: row[0], reverse=True)
    return Table(
        ("Beside", "Validation, last epoch", "Seeds", "Parameters", "Epochs", ""),
        tuple(texts for _, texts in rows),
        align="lrrrrl",
        notes=("mean ± sd over the seeds; none is selected on these images",),
        optional=("Epochs", "Seeds"),
    )


def _kind(card: Card) -> str:
    """Return whether a network is the assignment's, a record or only a recipe."""
    if card.recipe in (MINIMAL, REGULARIZED):
        return "the assignment's"
    return f"record, track {PurePosixPath(card.record).parts[1]}" if card.record else "recipe"
