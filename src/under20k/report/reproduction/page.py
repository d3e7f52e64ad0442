"""The report of ``under20k reproduce``: each recipe, set beside what the specification reports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from under20k.checking.findings import Finding, missed, unmet_advice
from under20k.files import write_bytes, write_text
from under20k.formatting import percent
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.limits import EPOCH_LIMIT, PARAMETER_LIMIT, TRAIN_IMAGES, VALIDATION_IMAGES
from under20k.report.check import verdicts_table
from under20k.report.curves import curves_figure
from under20k.report.document import Block, Bullets, Code, Document, Picture, Section, Text
from under20k.report.figures import png
from under20k.report.reproduction.assignment import (
    CONFIGURATION,
    PROVENANCE,
    RECEPTIVE_FIELD,
    SPECIFIED,
    SpecifiedModel,
)
from under20k.report.reproduction.claims import claim
from under20k.report.reproduction.comparison import compare, comparison_table
from under20k.report.reproduction.insights import insights, insights_table
from under20k.report.reproduction.results import Results, by_architecture, names_of
from under20k.report.reproduction.target import target_table, target_text
from under20k.report.run import environment_rows
from under20k.report.tables import Table, architecture_table
from under20k.report.words import (
    NOTHING,
    TARGET,
    augmentation_text,
    dropout_text,
    enumeration,
    mark,
    mark_notes,
    optimiser_text,
    plural,
    schedule_text,
    teachers_rows,
)
from under20k.runs.run import Run

__all__ = ["comparison_table", "write_reproduction"]


def write_reproduction(
    runs: Mapping[str, Sequence[Run]], verdicts: Mapping[str, Sequence[Finding]], folder: Path, command: str
) -> Path:
    """Write ``report.html``, ``report.md`` and a PNG of curves a model into ``folder``.

    ``runs`` and ``verdicts`` are by recipe name, the runs finished and one a seed; ``command`` is the
    command line that made them. Returns the path of ``report.html``. Raises UserError where runs are
    unfinished, differ in their recipe or repeat a seed, or a file cannot be written.
    """
    results = [Results.of(name, of_recipe) for name, of_recipe in runs.items()]
    document = reproduction(results, verdicts, command)
    for picture in document.pictures:
        write_bytes(folder / picture.file, picture.png)
    write_text(folder / "report.md", document.markdown())
    # Last, so that who finds the page finds what belongs to it.
    page = folder / "report.html"
    write_text(page, document.html())
    return page


def reproduction_text(runs: Mapping[str, Sequence[Run]]) -> str:
    """What the command prints: the specification's recipes beside it, then who reaches the target.

    Raises UserError as ``Results.of`` does.
    """
    results = [Results.of(name, of_recipe) for name, of_recipe in runs.items()]
    standings = [result.standing for result in results]
    specified = [result for result in results if result.name in SPECIFIED]
    parts = [
        *([compare(specified).text()] if specified else []),
        target_table(standings).text(),
        target_text(standings),
    ]
    return "\n\n".join(parts)


def reproduction(
    results: Sequence[Results], verdicts: Mapping[str, Sequence[Finding]], command: str
) -> Document:
    """The report as a document; at least one recipe."""
    names = names_of(results)
    return Document(
        f"MNIST with fewer than {PARAMETER_LIMIT:,} parameters: {names}",
        overview(results, command),
        (
            Section("Network structure", structure(results)),
            Section("Requirements", requirements(results, verdicts)),
            Section("Training configuration", configuration(results)),
            Section("Epochs", tuple(epochs_table(result) for result in results)),
            Section("Training curves", tuple(curves(result) for result in results)),
            Section("Model comparison", (compare(results),)),
            Section("Insights", (insights_table(results), Bullets(tuple(insights(results))))),
            Section("Environment", (environment(results),)),
        ),
    )


def overview(results: Sequence[Results], command: str) -> tuple[Block, ...]:
    """The claim: who reaches the target, each recipe's result in a sentence or two, and the command."""
    standings = [result.standing for result in results]
    return (
        Text(target_text(standings)),
        target_table(standings),
        Bullets(tuple(claim(result) for result in results)),
        Text(
            f"The target is {TARGET} validation accuracy with fewer than {PARAMETER_LIMIT:,} parameters in "
            f"fewer than {EPOCH_LIMIT} epochs. {PROVENANCE}"
        ),
        Text("The command that reproduces it:"),
        Code(command),
    )


def structure(results: Sequence[Results]) -> tuple[Block, ...]:
    """Every layer of every architecture, and its receptive field beside the stated one."""
    fields = {result.recipe.architecture.receptive_field for result in results}
    counted = " and ".join(f"{side}×{side}" for side in sorted(fields))
    covers = "It covers" if min(fields) >= IMAGE_SIDE else "It does not in every model cover"
    return (
        *(architecture_table(of[0].recipe, names_of(of)) for of in by_architecture(results)),
        Text(
            f"The specification states a receptive field of {RECEPTIVE_FIELD}×{RECEPTIVE_FIELD} pixels. "
            f"Counted, padding included, it is {counted}. {covers} the {IMAGE_SIDE}×{IMAGE_SIDE} image."
        ),
    )


def requirements(results: Sequence[Results], verdicts: Mapping[str, Sequence[Finding]]) -> tuple[Block, ...]:
    """Each requirement with its evidence, after what each model misses."""
    summaries, tables = [], []
    for result in results:
        checked = verdicts.get(result.name, ())
        if not checked:
            summaries.append(f"{result.name}: no requirement was checked.")
            continue
        met = sum(finding.passed for finding in checked)
        text = f"{result.name} meets {met} of {plural(len(checked), 'requirement')}"
        if rules := missed(checked):
            text += f"; missed: {enumeration(rules)}"
        if advice := unmet_advice(checked):
            text += f"; advised and not met: {enumeration(advice)}"
        summaries.append(f"{text}.")
        tables.append(verdicts_table(checked, result.name))
    return (Bullets(tuple(summaries)), *tables)


def configuration(results: Sequence[Results]) -> tuple[Block, ...]:
    """How each model was trained, beside the settings that the specification gives."""
    columns = []
    for result in results:
        columns.append((result.name, settings_text(result)))
        if specified := SPECIFIED.get(result.name):
            columns.append(("specified", stated_settings(specified)))
    header = ("Setting", *(title for title, _ in columns))
    names = settings_text(results[0])
    rows = tuple((name, *(settings[name] for _, settings in columns)) for name in names)
    return (Table(header, rows, align="l" * len(header)),)


def settings_text(result: Results) -> dict[str, str]:
    """A recipe's settings by their names in the report, and whether its runs read the test set."""
    recipe, readings = result.recipe, sum(len(run.test_readings()) for run in result.runs)
    return {
        "Training images": f"{TRAIN_IMAGES:,}",
        "Validation images": f"{VALIDATION_IMAGES:,}",
        "Test images": f"read {plural(readings, 'time')}" if readings else "not read",
        "Epochs": str(recipe.epochs),
        "Batch size": str(recipe.batch_size),
        "Optimiser": optimiser_text(recipe),
        "Learning rate": schedule_text(recipe),
        "Augmentation": augmentation_text(recipe.augmentation),
        "Dropout": dropout_text(recipe),
        **dict(teachers_rows(recipe)),
    }


def stated_settings(specified: SpecifiedModel) -> dict[str, str]:
    """The same settings as the specification gives them."""
    return {
        **CONFIGURATION,
        "Epochs": str(len(specified.epochs)),
        "Augmentation": specified.augmentation,
        "Dropout": specified.dropout,
    }


def epochs_table(result: Results) -> Table:
    """A row an epoch of one model, the drop of the learning rate marked, the specification's beside it."""
    specified = SPECIFIED.get(result.name)
    stated = specified.epochs if specified else ()
    dropped = {drop.epoch for drop in result.drops}
    spread = () if result.single else ("Lowest and highest",)
    mean = "" if result.single else ", mean"
    rows = []
    for epoch in range(1, max(result.epochs, len(stated)) + 1):
        ours = [str(epoch)] + [""] * (3 + len(spread))
        notes = []
        if epoch <= result.epochs:
            training, validation = result.training(epoch), result.validation(epoch)
            rate = f"{result.metrics[0][epoch - 1].learning_rate:g}"
            ours = [str(epoch), rate, percent(training.mean), str(validation)]
            ours += [validation.range] if spread else []
        if epoch in dropped:
            notes.append("learning rate drop")
        if hits := result.first_hits.count(epoch):
            notes.append(f"first ≥ {TARGET}" + ("" if result.single else f": {plural(hits, 'seed')}"))
        theirs = [percent(value) for value in stated[epoch - 1]] if epoch <= len(stated) else [NOTHING] * 2
        rows.append((*ours, *(theirs if specified else ()), ", ".join(notes)))
    header = ["Epoch", "Learning rate", f"Training{mean}", f"Validation{mean}", *spread]
    header += ["Specified training", "Specified validation"] if specified else []
    return Table(
        (*header, "Note"),
        tuple(rows),
        caption=f"{result.name}, {result.seeds}",
        align="r" * len(header) + "l",
        marked=frozenset(epoch - 1 for epoch in dropped),
    )


def curves(result: Results) -> Picture:
    """The training curves of one model."""
    file = "curves-{}.png".format(re.sub(r"[^\w+=,.-]", "_", result.name))
    mean = "" if result.single else "mean "
    alt = (
        f"Training and validation accuracy by epoch of {result.name}, {result.seeds}, with the target of "
        f"{TARGET}. After epoch {result.epochs}, {mean}training accuracy is "
        f"{percent(result.training(result.epochs).mean)} and {mean}validation accuracy "
        f"{result.summary.last}."
    )
    return Picture(file, png(curves_figure(result.metrics, result.recipe)), alt)


def environment(results: Sequence[Results]) -> Table:
    """What it ran on, and how long it took."""
    environments = [run.environment for result in results for run in result.runs]
    rows = environment_rows(environments)
    for result in results:
        mean = "" if result.single else ", mean of a seed"
        rows.append(
            (
                f"Time, {result.name}{mean}",
                f"{result.seconds:,.1f} s for {plural(result.epochs, 'epoch')}; "
                f"{result.images_per_s:,.0f} training images a second{mark(result.times_differ_in)}",
            )
        )
    notes = mark_notes({result.name: result.times_differ_in for result in results})
    return Table(("Property", "Value"), tuple(rows), align="ll", notes=notes)
