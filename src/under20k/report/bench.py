"""The report of a bench: its table, its picture, a paired comparison, and ``bench.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.files import write_bytes, write_text
from under20k.formatting import percent
from under20k.recipe.limits import PARAMETER_LIMIT
from under20k.report.bench_figure import seeds_figure
from under20k.report.document import Block, Bullets, Code, Document, Picture, Section, Text
from under20k.report.figures import png
from under20k.report.run import environment_rows
from under20k.report.tables import Table
from under20k.report.words import NOTHING, mark, mark_notes, p_text, plural, ranges
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
DETECTABLE = (0.0001, 0.0002, 0.0005)
"""Differences, as fractions, for which the seeds needed are told."""


def bench_table(benches: Sequence[Bench]) -> Table:
    """Each recipe's figures over its seeds, the last epoch first."""
    rows = [
        ("Parameters", [f"{b.recipe.architecture.parameters:,}" for b in benches]),
        (f"Share of the {PARAMETER_LIMIT:,} limit", [share_of_limit(b) for b in benches]),
        ("Epochs", [str(b.recipe.epochs) for b in benches]),
        ("Seeds", [seeds_text(b) for b in benches]),
        ("Validation accuracy, last epoch", [percent(b.statistics.summary.last.mean, 3) for b in benches]),
        ("Standard deviation, points", [in_points(b.statistics.summary.last.sd) for b in benches]),
        ("Standard error, points", [in_points(b.statistics.summary.last.standard_error) for b in benches]),
        (f"{CONFIDENCE:.0%} interval of the mean", [interval_text(b.statistics.interval) for b in benches]),
        ("Lowest and highest seed", [b.statistics.summary.last.range for b in benches]),
        (
            f"Seeds ≥ {percent(benches[0].statistics.target)} at the last epoch",
            [reached_text(b.statistics.summary.reached_at_last, b) for b in benches],
        ),
        (
            f"{CONFIDENCE:.0%} interval of that share",
            [share_interval_text(b.statistics.share_interval) for b in benches],
        ),
        (
            f"p that the mean exceeds {percent(benches[0].statistics.target)}",
            [p_text(b.statistics.p_exceeds_target) for b in benches],
        ),
        ("Best epoch (selected, not the result)", [str(b.statistics.summary.best) for b in benches]),
        (
            f"Seeds ≥ {percent(benches[0].statistics.target)} at any epoch",
            [reached_text(b.statistics.summary.reached_at_any, b) for b in benches],
        ),
        ("Seconds per training", [time_text(b, b.statistics.time_s, 1) for b in benches]),
        ("Images/s, training", [time_text(b, b.statistics.images_per_s, 0) for b in benches]),
    ]
    header = ("Validation, over seeds", *(bench.recipe.name for bench in benches))
    notes = tuple(f"not counted: {failure}" for bench in benches for failure in bench.failures)
    notes += mark_notes({b.recipe.name: b.times_differ_in for b in benches})
    return Table(header, tuple((name, *cells) for name, cells in rows), notes=notes)


def versus_table(bench: Bench, other: Bench, detectable: Sequence[float] = DETECTABLE) -> Table:
    """The difference of two recipes, paired by seed, and the seeds that a difference takes to be seen."""
    return difference_table(bench.versus(other), bench.recipe.name, other.recipe.name, detectable)


def difference_table(
    difference: Difference, ours: str, theirs: str, detectable: Sequence[float] = DETECTABLE
) -> Table:
    """The difference of what is called ``ours`` and ``theirs``."""
    sd = difference.sample.sd
    rows = [
        ("Pairs of seeds", str(difference.sample.n)),
        ("Mean difference, points", in_points(difference.sample.mean, sign=True)),
        ("Standard deviation", in_points(sd)),
        (f"{CONFIDENCE:.0%} interval", points_interval(difference)),
        ("p, paired t-test", p_text(difference.t_test_p)),
        ("p, sign-flip test", p_text(difference.sign_flip_p)),
    ]
    if sd is not None:
        rows += [
            (f"Seeds to see {100 * size:.3g} points", needed_text(size, sd))
            for size in sorted({*detectable, abs(difference.sample.mean)} - {0.0})
        ]
    notes = (
        f"The tests are two-sided. Seeds needed: for p < {SIGNIFICANCE:g} with a probability of {POWER:.0%}.",
    )
    caption = f"{ours} minus {theirs}, paired by seed"
    return Table(("Difference", "Validation, last epoch"), tuple(rows), caption=caption, notes=notes)


def bench_text(bench: Bench, other: Bench | None, detectable: Sequence[float] = DETECTABLE) -> str:
    """What ``under20k bench`` prints."""
    if other is None:
        return bench_table([bench]).text()
    return f"{bench_table([bench, other]).text()}\n\n{versus_table(bench, other, detectable).text()}"


def write_bench_report(bench: Bench, folder: Path) -> None:
    """Write ``bench.png`` and ``bench.md``. Raises UserError where they cannot be written."""
    document = bench_document(bench)
    for picture in document.pictures:
        write_bytes(folder / picture.file, picture.png)
    write_text(folder / "bench.md", document.markdown())


def bench_document(bench: Bench) -> Document:
    """The report of a bench."""
    picture = seeds_picture(bench, PICTURE)
    lead: list[Block] = [Text(claim(bench)), bench_table([bench])]
    if bench.failures:
        lead.append(Text("Seeds that failed, which no figure counts:"))
        lead.append(Bullets(bench.failures))
    lead += [Text("The command that gave it:"), Code(bench.command)]
    environment = Table(
        ("Environment", bench.recipe.name),
        tuple(environment_rows([seed.environment for seed in bench.seeds])),
        align="ll",
    )
    return Document(
        f"{bench.recipe.name}, {plural(len(bench.seeds), 'seed')}",
        tuple(lead),
        (Section("Seeds", (picture, seeds_table(bench))), Section("Environment", (environment,))),
    )


def seeds_picture(bench: Bench, file: str, drawn: bool = True) -> Picture:
    """The seeds' curves, and their last epochs against the target."""
    alt = f"Validation accuracy of {bench.recipe.name} by epoch, {claim(bench)}"
    return Picture(file, png(seeds_figure(bench)) if drawn else b"", alt)


def claim(bench: Bench) -> str:
    """The result in a sentence."""
    statistics = bench.statistics
    summary = statistics.summary
    text = (
        f"{bench.recipe.architecture.parameters:,} parameters, {plural(bench.recipe.epochs, 'epoch')}, "
        f"{seeds_text(bench)}: validation accuracy at the last epoch is {summary.last}"
    )
    if summary.n == 1:
        return f"{text}."
    return (
        f"{text} (mean ± sd); {summary.reached_at_last} of {summary.n} seeds at or above "
        f"{percent(statistics.target)}, p = {p_text(statistics.p_exceeds_target)} that the mean exceeds it."
    )


def seeds_table(bench: Bench) -> Table:
    """A row a seed."""
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


def share_of_limit(bench: Bench) -> str:
    """``70.6%``."""
    return percent(bench.recipe.architecture.parameters / PARAMETER_LIMIT, 1)


def seeds_text(bench: Bench) -> str:
    """``30 seeds (0–29)``."""
    return f"{plural(len(bench.seeds), 'seed')} ({ranges([seed.seed for seed in bench.seeds])})"


def reached_text(count: int, bench: Bench) -> str:
    """``6 of 12``."""
    return f"{count} of {len(bench.seeds)}"


def interval_text(interval: Interval | None) -> str:
    """``99.372–99.428%``."""
    return NOTHING if interval is None else f"{100 * interval[0]:.3f}–{percent(interval[1], 3)}"


def share_interval_text(interval: Interval) -> str:
    """``72–100%``."""
    return f"{100 * interval[0]:.0f}–{interval[1]:.0%}"


def in_points(value: float | None, sign: bool = False) -> str:
    """A fraction in percentage points: ``0.045``."""
    return NOTHING if value is None else f"{100 * value:{'+' if sign else ''}.3f}"


def points_interval(difference: Difference) -> str:
    """``+0.02 to +0.08``."""
    if difference.interval is None:
        return NOTHING
    return f"{100 * difference.interval[0]:+.3f} to {100 * difference.interval[1]:+.3f}"


def number_text(sample: Sample, decimals: int) -> str:
    """``35.2 ± 0.4``."""
    spread = "" if sample.sd is None else f" ± {sample.sd:,.{decimals}f}"
    return f"{sample.mean:,.{decimals}f}{spread}"


def time_text(bench: Bench, sample: Sample, decimals: int) -> str:
    """The same of the seeds' times, marked where those are not of the same thing."""
    return number_text(sample, decimals) + mark(bench.times_differ_in)


def needed_text(difference: float, sd: float) -> str:
    """The number of seeds."""
    needed = seeds_needed(difference, sd)
    return NOTHING if needed is None else f"{needed:,}"
