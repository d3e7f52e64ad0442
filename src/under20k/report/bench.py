"""The report of a bench: its table, its picture, a paired comparison, and ``bench.md``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from under20k.files import write_text
from under20k.formatting import percent, shortened
from under20k.recipe.limits import PARAMETER_LIMIT
from under20k.report.badge import bench_badge
from under20k.report.beside import beside_table
from under20k.report.document import NOT_DRAWN, Block, Bullets, Code, Document, Picture, Section, Text
from under20k.report.environment import environment_table
from under20k.report.tables import Table
from under20k.report.text_lines import wrapped
from under20k.report.words import (
    NOTHING,
    P_DIFFERENCE,
    P_VALUE,
    TARGET,
    mark,
    mark_notes,
    marked,
    p_text,
    plural,
    ranges,
)
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.significance import (
    CONFIDENCE,
    POWER,
    SIGNIFICANCE,
    Difference,
    Interval,
    seeds_needed,
)
from under20k.runs.bench.statistics import Sample

PICTURE = "bench.png"
LABEL_COLUMNS, NARROWEST_NAME = 40, 24
"""Columns of a recipe's name on a terminal; a longer one lacks its middle."""
DETECTABLE = (0.0001, 0.0002, 0.0005)
"""Effect sizes, as fractions, for which the number of seeds needed is reported."""


def bench_table(benches: Sequence[Bench], names: Sequence[str] = ()) -> Table:
    """Return each bench's figures over its seeds, the last epoch first.

    Args:
        benches: At least one.
        names: Headings of their columns; by default the recipes' names.
    """
    target = percent(benches[0].statistics.target)
    titles = names or [bench.recipe.name for bench in benches]
    last, rows = [bench.summary.last for bench in benches], []

    def row(label: str, cells: Iterable[str]) -> None:
        rows.append((label, *cells))

    row("Parameters", (f"{b.recipe.architecture.parameters:,}" for b in benches))
    row(f"Fraction of the {PARAMETER_LIMIT:,} limit", map(fraction_of_limit, benches))
    row("Epochs", (str(b.recipe.epochs) for b in benches))
    row("Seeds", map(seeds_text, benches))
    row("Validation accuracy, last epoch", (percent(sample.mean, 3) for sample in last))
    row("Standard deviation, points", (in_points(sample.sd) for sample in last))
    row("Standard error, points", (in_points(sample.standard_error) for sample in last))
    row(
        f"{CONFIDENCE:.0%} interval of the mean",
        (interval_text(b.statistics.interval) for b in benches),
    )
    row("Lowest and highest seed", (sample.range for sample in last))
    row(f"Seeds ≥ {target} at the last epoch", (reached_text(b.summary.reached_at_last, b) for b in benches))
    row(
        f"{CONFIDENCE:.0%} interval of that fraction",
        (fraction_interval_text(b.statistics.share_interval) for b in benches),
    )
    row(P_VALUE, (p_text(b.statistics.p_exceeds_target) for b in benches))
    row("Best epoch (selected, not the result)", (str(b.summary.best) for b in benches))
    row(f"Seeds ≥ {target} at any epoch", (reached_text(b.summary.reached_at_any, b) for b in benches))
    row("Seconds per training", (time_text(b, b.statistics.time_s, 1) for b in benches))
    row("Images/s, training", (time_text(b, b.statistics.images_per_s, 0) for b in benches))
    notes = tuple(f"not counted: {failure}" for bench in benches for failure in bench.failures)
    differing = dict(zip(titles, (bench.times_differ_in for bench in benches), strict=True))
    return Table(
        ("Validation, over seeds", *titles),
        tuple(rows),
        notes=notes + mark_notes(differing),
        groups=(1,) * len(titles),
    )


def versus_table(bench: Bench, other: Bench, detectable: Sequence[float] = DETECTABLE) -> Table:
    """Return the difference of two recipes, paired by seed; ``detectable`` are effect sizes, as fractions."""
    return difference_table(bench.versus(other), bench.recipe.name, other.recipe.name, detectable)


def difference_table(
    difference: Difference, ours: str, theirs: str, detectable: Sequence[float] = DETECTABLE
) -> Table:
    """Return a paired difference, its tests, and the number of seeds needed to detect an effect.

    Args:
        difference: The first accuracies minus the second.
        ours: Name of the first.
        theirs: Name of the second.
        detectable: Effect sizes, as fractions; the measured difference is added.
    """
    sd = difference.sample.sd
    rows = [
        ("Mean difference, points", in_points(difference.sample.mean, sign=True)),
        (f"{CONFIDENCE:.0%} interval", points_interval(difference)),
        (f"{P_DIFFERENCE}, paired t-test", p_text(difference.t_test_p)),
        (f"{P_DIFFERENCE}, sign-flip test", p_text(difference.sign_flip_p)),
        ("Pairs of seeds", str(difference.sample.n)),
        ("Standard deviation, points", in_points(sd)),
    ]
    if sd is not None:
        rows += [
            (f"Seeds to detect {100 * size:.3g} points", needed_text(size, sd))
            for size in sorted({*detectable, abs(difference.sample.mean)} - {0.0})
        ]
    notes = (
        f"The tests are two-sided. Seeds needed: for p < {SIGNIFICANCE:g} with a probability of {POWER:.0%}.",
    )
    caption = f"{ours} minus {theirs}, paired by seed"
    return Table(("Difference", "Validation, last epoch"), tuple(rows), caption=caption, notes=notes)


def difference_text(difference: Difference, ours: str, theirs: str) -> str:
    """Return a paired difference and what it shows, in a sentence.

    Args:
        difference: The first accuracies minus the second.
        ours: Name of the first.
        theirs: Name of the second.
    """
    mean, p = in_points(difference.sample.mean, sign=True), difference.t_test_p
    what = f"{ours} minus {theirs}: {mean} points"
    if difference.interval is None or p is None:
        return f"{what}, {plural(difference.sample.n, 'pair')} of seeds: too few for an interval or a p-value"
    shows = "a difference" if p < SIGNIFICANCE else "no difference shown"
    return f"{what} ({CONFIDENCE:.0%} interval {points_interval(difference)}), p = {p_text(p)}: {shows}"


def bench_text(
    bench: Bench,
    other: Bench | None,
    detectable: Sequence[float] = DETECTABLE,
    width: int | None = None,
) -> str:
    """Return what ``under20k bench`` prints: the claims, the paired difference, and every figure.

    Args:
        bench: The recipe's seeds.
        other: Those of the recipe that it is compared with.
        detectable: Effect sizes, as fractions.
        width: Columns of the terminal, for the tables; None for a file or a pipe. Long lines are wrapped
            where they are printed.
    """
    benches = [bench, *([other] if other else [])]
    # Beside the longest label of a figure, of the terminal what is left for a name.
    longest = None if width is None else max((width - LABEL_COLUMNS) // len(benches) - 2, NARROWEST_NAME)
    names = [shortened(each.recipe.name, longest) for each in benches]
    claims = [f"{name}: {verdict_text(each)}" for name, each in zip(names, benches, strict=True)]
    if other:
        claims.insert(0, difference_text(bench.versus(other), names[0], names[1]))
    parts = ["\n".join(claims)]
    if other:
        parts.append(difference_table(bench.versus(other), names[0], names[1], detectable).text(width))
    if bench.not_a_claim:
        parts.append("\n".join(wrapped(not_a_claim(bench), width)))
    parts.append(bench_table(benches, names).text(width))
    if any(each.recipe.own for each in benches):
        parts.append(beside_table(benches, names).text(width))
    return "\n\n".join(parts)


def write_bench_report(bench: Bench, folder: Path) -> None:
    """Write ``bench.md``, ``bench.png``, its dark twin and ``badge.svg``.

    Raises UserError where they cannot be written.
    """
    document = bench_document(bench)
    document.write_pictures(folder)
    write_text(folder / "bench.md", document.markdown())
    write_text(folder / "badge.svg", bench_badge(bench))


def bench_document(bench: Bench) -> Document:
    """Return the report of a bench."""
    picture = seeds_picture(bench, PICTURE, bench.recipe.name)
    lead: list[Block] = [Text(claim(bench)), picture, bench_table([bench])]
    if bench.recipe.own:
        lead.append(beside_table([bench], [bench.recipe.name]))
    if bench.not_a_claim:
        lead.insert(1, Text(not_a_claim(bench)))
    if bench.failures:
        lead.append(Text("Seeds that failed, which no figure counts:"))
        lead.append(Bullets(bench.failures))
    lead += [Text("The command that trained it:"), Code(bench.command)]
    environment = environment_table(bench.recipe.name, [seed.environment for seed in bench.seeds])
    return Document(
        f"{bench.recipe.name}, {plural(len(bench.seeds), 'seed')}",
        tuple(lead),
        (Section("Seeds", (seeds_table(bench),)), Section("Environment", (environment,))),
    )


def seeds_picture(bench: Bench, file: str, name: str, *, drawn: bool = True) -> Picture:
    """Return the seeds' curves, and their last epochs against the target.

    Args:
        bench: The seeds.
        file: Name of the PNG.
        name: Of the recipe or record, for the title.
        drawn: If False, draw no PNG; Markdown needs only the file name.
    """
    alt = f"Validation accuracy of {name} by epoch, {claim(bench)}"
    light, dark = NOT_DRAWN
    if drawn:
        # Matplotlib takes a while to load, and what prints a bench draws nothing.
        from under20k.report.bench_figure import seeds_figure
        from under20k.report.figures import themed

        light, dark = themed(lambda theme: seeds_figure(bench, name, theme))
    return Picture(file, light, alt, dark)


def result_text(bench: Bench) -> str:
    """Return size, epochs, seeds and accuracy, as the start of a sentence."""
    return (
        f"{bench.recipe.architecture.parameters:,} parameters, {plural(bench.recipe.epochs, 'epoch')}, "
        f"{seeds_text(bench)}: validation accuracy at the last epoch is {bench.summary.last}"
    )


def claim(bench: Bench) -> str:
    """Return the result in a sentence."""
    if bench.single:
        return f"{result_text(bench)}."
    return (
        f"{result_text(bench)} (mean ± sd); {reached_text(bench.summary.reached_at_last, bench)} seeds at or "
        f"above {TARGET}; p-value {p_text(bench.statistics.p_exceeds_target)} (one-sided t-test, "
        f"H₀: mean ≤ {TARGET})."
    )


def not_a_claim(bench: Bench) -> str:
    """Return the sentence that a bench's figures are not a claim."""
    return f"Not a claim: {bench.not_a_claim}."


def verdict_text(bench: Bench) -> str:
    """Return whether the accuracy reaches the target, then what it is of."""
    last, recipe = bench.summary.last, bench.recipe
    size = f"{recipe.architecture.parameters:,} parameters, {plural(recipe.epochs, 'epoch')}"
    accuracy = marked(last.mean, f"{last} validation accuracy at the last epoch")
    if bench.single:
        return f"{accuracy}, {seeds_text(bench)}; {size}"
    reached = reached_text(bench.summary.reached_at_last, bench)
    p = p_text(bench.statistics.p_exceeds_target)
    return (
        f"{accuracy}, mean ± sd over {seeds_text(bench)}; {reached} at or above {TARGET}; "
        f"{P_VALUE.replace(' ', f' {p} ', 1)}; {size}"
    )


def seeds_table(bench: Bench) -> Table:
    """Return a row a seed."""
    rows = tuple(
        (
            str(seed.seed),
            percent(seed.validation_accuracy),
            percent(max(epoch.validation_accuracy for epoch in seed.epochs)),
            percent(seed.epochs[-1].train_accuracy),
            f"{seed.time_s:.1f}",
        )
        for seed in bench.seeds
    )
    header = ("Seed", "Validation, last epoch", "best epoch (selected)", "Training, last epoch", "Seconds")
    return Table(header, rows, align="rrrrr")


def fraction_of_limit(bench: Bench) -> str:
    """Return ``70.6%``."""
    return percent(bench.recipe.architecture.parameters / PARAMETER_LIMIT, 1)


def seeds_text(bench: Bench) -> str:
    """Return ``30 seeds (0–29)``, or of one ``seed 0``."""
    if bench.single:
        return f"seed {bench.seeds[0].seed}"
    return f"{plural(len(bench.seeds), 'seed')} ({ranges([seed.seed for seed in bench.seeds])})"


def reached_text(count: int, bench: Bench) -> str:
    """Return ``6 of 12``."""
    return f"{count} of {len(bench.seeds)}"


def interval_text(interval: Interval | None) -> str:
    """Return ``99.372–99.428%``."""
    return NOTHING if interval is None else f"{100 * interval[0]:.3f}–{percent(interval[1], 3)}"


def fraction_interval_text(interval: Interval) -> str:
    """Return ``72–100%``."""
    return f"{100 * interval[0]:.0f}–{interval[1]:.0%}"


def in_points(value: float | None, sign: bool = False) -> str:
    """Return a fraction in percentage points: ``0.045``."""
    return NOTHING if value is None else f"{100 * value:{'+' if sign else ''}.3f}"


def points_interval(difference: Difference) -> str:
    """Return ``+0.02 to +0.08``."""
    if difference.interval is None:
        return NOTHING
    return f"{100 * difference.interval[0]:+.3f} to {100 * difference.interval[1]:+.3f}"


def number_text(sample: Sample, decimals: int) -> str:
    """Return ``35.2 ± 0.4``."""
    spread = "" if sample.sd is None else f" ± {sample.sd:,.{decimals}f}"
    return f"{sample.mean:,.{decimals}f}{spread}"


def time_text(bench: Bench, sample: Sample, decimals: int) -> str:
    """Return ``number_text`` of the seeds' times, marked where they were measured differently."""
    return number_text(sample, decimals) + mark(bench.times_differ_in)


def needed_text(difference: float, sd: float) -> str:
    """Return the number of seeds needed to detect a difference."""
    needed = seeds_needed(difference, sd)
    return NOTHING if needed is None else f"{needed:,}"
