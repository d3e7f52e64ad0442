"""Recipes, runs, benches, leaderboards, evaluations, findings and records as HTML for a notebook's cell."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import singledispatch
from io import BytesIO
from typing import TYPE_CHECKING

from markupsafe import Markup
from PIL import Image

from under20k.checking.findings import Finding, Findings
from under20k.deploy.digit import Digit, Digits
from under20k.engine.evaluation import Evaluation
from under20k.errors import shown
from under20k.formatting import percent, title
from under20k.recipe.architecture import Architecture
from under20k.recipe.recipe import Recipe
from under20k.report.html import (
    FAINT,
    beside,
    box,
    folded,
    headline,
    joined,
    line,
    picture_html,
    table_html,
)
from under20k.report.tables import Table, architecture_table, recipe_table
from under20k.report.words import MISSED, PASSED, plural
from under20k.runs.bench.bench import Bench, Benches
from under20k.runs.bench.run_bench import BenchResult
from under20k.runs.leaderboard import Entry, Leaderboard
from under20k.runs.records.record import Record
from under20k.runs.run import Run

if TYPE_CHECKING:
    from under20k.report.figures import Figure, Theme

SIGN = {"passed": PASSED, "failed": MISSED, "advised": "!"}
EPOCHS = 20  # rows that are shown without a click
GALLERY = 40  # misclassified images

# Matplotlib takes a while to load, so the modules that draw are imported where a picture is drawn.


@singledispatch
def drawn(value: object) -> str:
    """Return HTML for a value. Raises TypeError for one of another type."""
    raise TypeError(f"nothing draws a {type(value).__name__}")


@drawn.register
def _architecture(architecture: Architecture) -> str:
    return box(table_html(architecture_table(Recipe("Architecture", architecture))))


@drawn.register
def _recipe(recipe: Recipe) -> str:
    network = recipe.architecture
    facts = {
        "Parameters": f"{network.parameters:,}",
        "Multiply-accumulates": f"{network.macs:,}",
        "Receptive field": f"{network.receptive_field}×{network.receptive_field} pixels",
    }
    layers = folded("Layers", table_html(architecture_table(recipe)))
    return box(headline(title(recipe.name)), table_html(recipe_table(recipe, facts)), layers)


@drawn.register
def _run(run: Run) -> str:
    from under20k.report.curves import curves_figure
    from under20k.report.run import claim_table, curves_alt, epochs_table, run_claim

    metrics = run.metrics()
    name = f"{title(run.recipe.name)}, seed {run.seed}"
    place = line(shown(str(run.path)), FAINT)
    if not metrics:
        return box(headline(name, f"no epoch of {run.recipe.epochs} is finished yet"), place)
    curves = _picture(lambda theme: curves_figure([metrics], run.recipe, theme), curves_alt(run, metrics))
    epochs = _few(table_html(_filled(epochs_table(run, metrics))), "Epochs", len(metrics))
    environment = folded("Environment", table_html(claim_table(run, metrics)))
    return box(headline(name, run_claim(run, metrics)), curves, epochs, environment, place)


@drawn.register
def _bench(bench: Bench) -> str:
    return box(*_of_benches([bench]))


@drawn.register
def _bench_result(result: BenchResult) -> str:
    benches = [bench for bench in (result.bench, result.other) if bench]
    folders = [str(folder) for folder in (result.folder, result.other_folder) if folder]
    return box(*_of_benches(benches), line(shown(", ".join(folders)), FAINT))


@drawn.register
def _benches(benches: Benches) -> str:
    return box(*_of_benches(benches, drawn=False))


@drawn.register
def _record(record: Record) -> str:
    from under20k.report.bench import bench_table, claim, seeds_picture

    picture = seeds_picture(record.bench, "curves.png", record.name)
    return box(
        headline(record.folder, claim(record.bench)),
        picture_html(picture),
        table_html(bench_table([record.bench], [record.name])),
    )


@drawn.register
def _entry(entry: Entry) -> str:
    return _leaderboard(Leaderboard([entry]))


@drawn.register
def _leaderboard(entries: Leaderboard) -> str:
    from under20k.report.leaderboard import leaderboard_table
    from under20k.report.leaderboard_figure import leaderboard_figure

    if not entries:
        return box(line("no entries"))
    table = table_html(leaderboard_table(entries))
    if len(entries) == 1:
        return box(table)
    alt = "Validation accuracy against parameters, a point for each row of the table"
    return box(table, _picture(lambda theme: leaderboard_figure(entries, theme=theme), alt))


@drawn.register
def _evaluation(evaluation: Evaluation) -> str:
    from under20k.report.evaluation import class_table, confusion_table
    from under20k.report.evaluation import headline as counts

    text = f"{counts(evaluation)}, loss {evaluation.loss:.4f}"
    tables = (table_html(class_table(evaluation)), table_html(confusion_table(evaluation)))
    return box(headline(evaluation.split, text), beside(*tables), *_errors(evaluation))


def _errors(evaluation: Evaluation) -> list[Markup]:
    """Return the picture of the misclassified images, if the evaluation has them."""
    from under20k.report.evaluation import gallery_figure, misclassified

    data, logits = evaluation.data, evaluation.logits
    if data is None or logits is None or not (wrong := len(misclassified(data.labels, logits)[0])):
        return []
    alt = f"The most confident of {plural(wrong, 'misclassified image')}"
    return [_picture(lambda theme: gallery_figure(data.images, data.labels, logits, GALLERY, theme), alt)]


@drawn.register
def _finding(finding: Finding) -> str:
    return _findings(Findings([finding]))


@drawn.register
def _findings(findings: Findings) -> str:
    rows = tuple(
        (
            f.rule,
            f"{SIGN[f.word]} {f.word}",
            f.evidence,
            *(["; ".join(f.advice)] if _advised(findings) else ()),
        )
        for f in findings
    )
    header = ("Rule", "Result", "Evidence", *(["Advice"] if _advised(findings) else ()))
    passed = f"{sum(f.passed for f in findings)} of {plural(len(findings), 'rule')} passed"
    return box(headline(passed), table_html(Table(header, rows, align="l" * len(header))))


@drawn.register
def _digit(digit: Digit) -> str:
    return box(_tile(digit))


@drawn.register
def _digits(digits: Digits) -> str:
    if not digits:
        return box(line("no digits"))
    lines = (beside(*map(_tile, digits_of_line)) for digits_of_line in digits.lines())
    return box(headline(digits.text.replace("\n", " ")), *lines)


def _tile(digit: Digit) -> Markup:
    """Return what the network saw of a digit, and what it says."""
    png = BytesIO()
    Image.fromarray(digit.image).save(png, "PNG")
    image = Markup(
        '<img src="data:image/png;base64,{}" alt="{}" '
        'style="width:56px;height:56px;image-rendering:pixelated;background:none;margin:0">'
    ).format(b64encode(png.getvalue()).decode(), f"what the network saw of a {digit.likeliest}")
    value = str(digit) if digit.value is not None else f"{digit} likeliest {digit.likeliest}"
    second = f"or {digit.runner_up}: {percent(digit.runner_up_probability, 1)}"
    return joined(
        [
            Markup('<div style="margin:.4em 0">'),
            image,
            headline(value, percent(digit.probability, 1)),
            line(second, f"font-size:.9em;{FAINT}"),
            Markup("</div>"),
        ]
    )


def _advised(findings: Sequence[Finding]) -> bool:
    return any(finding.advice for finding in findings)


def _of_benches(benches: Sequence[Bench], *, drawn: bool = True) -> list[Markup]:
    """Return claims, pictures and tables of benches; without ``drawn``, pictures show on a click only."""
    from under20k.report.bench import bench_table, claim, seeds_picture, seeds_table, versus_table

    names = [title(bench.recipe.name) for bench in benches]
    parts = [headline(name, claim(bench)) for name, bench in zip(names, benches, strict=True)]
    pictures = [
        picture_html(seeds_picture(bench, "bench.png", name), 760)
        for name, bench in zip(names, benches, strict=True)
    ]
    if drawn:
        parts += pictures
    parts.append(table_html(bench_table(benches, names)))
    if drawn and len(benches) == 2:
        parts.append(table_html(versus_table(benches[0], benches[1])))
    for index, (name, bench) in enumerate(zip(names, benches, strict=True)):
        picture = [] if drawn else [pictures[index]]
        parts.append(folded(f"Seeds of {name}", *picture, table_html(seeds_table(bench))))
    return parts


def _filled(table: Table) -> Table:
    """Return a table without its empty columns."""
    kept = [at for at in range(len(table.header)) if any(row[at] for row in table.rows)]
    return replace(
        table,
        header=tuple(table.header[at] for at in kept),
        rows=tuple(tuple(row[at] for at in kept) for row in table.rows),
        align="".join(table.align[at] for at in kept),
    )


def _picture(draw: Callable[[Theme], Figure], alt: str) -> Markup:
    """Return what ``draw`` draws; ``alt`` says what it shows."""
    from under20k.report.document import Picture
    from under20k.report.figures import themed

    light, dark = themed(draw)
    return picture_html(Picture("", light, alt, dark))


def _few(table: Markup, heading: str, rows: int) -> Markup:
    """Return a table; behind a click if it is long."""
    return table if rows <= EPOCHS else folded(f"{heading} ({rows})", table)
