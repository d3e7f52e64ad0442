"""Which recipes reach the target: the question that a reproduction answers."""

from __future__ import annotations

from collections.abc import Sequence

from under20k.formatting import percent
from under20k.report.document import Cards
from under20k.report.reproduction.assignment import SPECIFIED
from under20k.report.tables import Table
from under20k.report.words import NOTHING, P_VALUE, TARGET, enumeration, marked, p_text, plural
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target

ACCURACY = "Validation accuracy, last epoch"
VERDICT = f"Target {TARGET}"


def headline(benches: Sequence[Bench]) -> str:
    """Return how many recipes reach the target, and which miss it, in a sentence; at least one recipe."""
    names = [bench.recipe.name for bench in benches]
    missed = [bench.recipe.name for bench in benches if not reaches_target(bench.summary.last.mean)]
    reached, rest = len(names) - len(missed), ""
    if len(names) == 1:
        subject = f"{names[0]} {'misses' if missed else 'reaches'}"
    elif not missed:
        subject = f"All {len(names)} recipes reach"
    elif not reached:
        subject = f"None of the {len(names)} recipes reaches"
    else:
        subject = f"{reached} of {len(names)} recipes {'reaches' if reached == 1 else 'reach'}"
        rest = f"; {enumeration(missed)} {'misses' if len(missed) == 1 else 'miss'} it"
    return f"{subject} {TARGET} validation accuracy at the last epoch, {_over(benches)}{rest}."


def target_cards(benches: Sequence[Bench]) -> Cards:
    """Return ``target_table`` as cards."""
    return Cards(target_table(benches), VERDICT, ACCURACY)


def target_table(benches: Sequence[Bench]) -> Table:
    """Return a row a recipe: its last epochs, and how they compare to the target."""
    header = (
        "Recipe",
        ACCURACY,
        VERDICT,
        f"Seeds ≥ {TARGET}, last epoch",
        "Parameters",
        "Epochs",
        "Seeds at any epoch",
        P_VALUE,
        "Assignment reports",
    )
    return Table(
        header,
        tuple(_row(bench) for bench in benches),
        optional=("Seeds at any epoch", P_VALUE, "Assignment reports", "Epochs"),
    )


def _row(bench: Bench) -> tuple[str, ...]:
    recipe, summary, specified = bench.recipe, bench.summary, SPECIFIED.get(bench.recipe.name)
    return (
        recipe.name,
        str(summary.last),
        marked(summary.last.mean, "reached" if reaches_target(summary.last.mean) else "missed"),
        f"{summary.reached_at_last} of {summary.n}",
        f"{recipe.architecture.parameters:,}",
        str(recipe.epochs),
        f"{summary.reached_at_any} of {summary.n}",
        p_text(bench.statistics.p_exceeds_target),
        percent(specified.last_validation) if specified else NOTHING,
    )


def target_text(benches: Sequence[Bench]) -> str:
    """Return which recipes reach the target and which do not, a sentence each; at least one recipe."""
    reached, missed = (
        [
            f"{bench.recipe.name} ({_last(bench)})"
            for bench in benches
            if reaches_target(bench.summary.last.mean) == reaches
        ]
        for reaches in (True, False)
    )
    return (
        f"At or above {TARGET} at the last epoch, {_over(benches)}: {enumeration(reached or ['none'])}. "
        f"Below it: {enumeration(missed or ['none'])}."
    )


def _over(benches: Sequence[Bench]) -> str:
    """Return ``one seed each`` or ``by the mean over 10 seeds``."""
    sizes = sorted({bench.summary.n for bench in benches})
    if sizes == [1]:
        return "one seed each" if len(benches) > 1 else "one seed"
    return f"by the mean over {enumeration([str(n) for n in sizes])} seeds"


def _last(bench: Bench) -> str:
    """Return ``99.331 ± 0.045 %; 1 of 10 seeds``, or of a single seed its accuracy."""
    summary = bench.summary
    if summary.n == 1:
        return percent(summary.last.mean)
    return f"{summary.last}; {summary.reached_at_last} of {plural(summary.n, 'seed')}"
