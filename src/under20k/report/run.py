"""``report.md`` and ``curves.png``, light and dark, in a run folder: a training's result and its epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from under20k.engine.base import INPUT
from under20k.errors import UserError
from under20k.files import write_text
from under20k.formatting import percent, points
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.report.curves import curves_figure
from under20k.report.document import Block, Code, Document, Picture, Section, Text
from under20k.report.environment import environment_rows
from under20k.report.figures import themed
from under20k.report.tables import Table, recipe_table
from under20k.report.words import plural
from under20k.runs.bench.statistics import reaches_target
from under20k.runs.distillation import training_time_s
from under20k.runs.metrics import EpochMetrics, learning_rate_drops
from under20k.runs.run import Run


def write_run_report(run: Run) -> None:
    """Write ``curves.png``, its dark twin and ``report.md`` into the folder of a run of at least one epoch.

    Raises UserError where there is no epoch yet, or a file cannot be written.
    """
    metrics = run.metrics()
    if not metrics:
        raise UserError(f"{run.path} has no finished epoch to report; continue it with 'under20k train'")
    light, dark = themed(lambda theme: curves_figure([metrics], run.recipe, theme))
    curves = Picture("curves.png", light, curves_alt(run, metrics), dark)
    document = run_document(run, metrics, curves)
    document.write_pictures(run.path)
    write_text(run.path / "report.md", document.markdown())


def run_document(run: Run, metrics: Sequence[EpochMetrics], curves: Picture) -> Document:
    """Return the report of a run of at least one epoch."""
    command = run.environment.get("command")
    lead: list[Block] = [Text(run_claim(run, metrics)), curves, claim_table(run, metrics)]
    if command:
        lead += [Text("The command that trained it:"), Code(str(command))]
    pixels = {"Input": f"{INPUT}, of pixels x from 0 (background) to 255"}
    return Document(
        f"{run.recipe.name}, seed {run.seed}",
        tuple(lead),
        (
            Section("Epochs", (epochs_table(run, metrics),)),
            Section("Recipe", (recipe_table(run.recipe, pixels),)),
            Section("Test set", readings_blocks(run.test_readings())),
        ),
    )


def run_claim(run: Run, metrics: Sequence[EpochMetrics]) -> str:
    """Return the run in two or three sentences, the last epoch first."""
    last, recipe = metrics[-1], run.recipe
    if len(metrics) < recipe.epochs:
        when = f"after {len(metrics)} of {plural(recipe.epochs, 'epoch')} (unfinished)"
    else:
        when = f"at the last of {plural(recipe.epochs, 'epoch')}"
    accuracy = last.validation_accuracy
    verdict = "at or above" if reaches_target(accuracy) else "below"
    text = (
        f"{recipe.architecture.parameters:,} parameters, {percent(accuracy)} validation accuracy {when}, "
        f"seed {run.seed}. That is {verdict} the target of {percent(TARGET_ACCURACY)}."
    )
    return text + best_epoch_text(metrics)


def best_epoch_text(metrics: Sequence[EpochMetrics]) -> str:
    """Return a sentence on the best epoch, beginning with a space; empty if none beats the last."""
    best = max(metrics, key=lambda epoch: epoch.validation_accuracy)
    if best.validation_accuracy <= metrics[-1].validation_accuracy:
        return ""
    accuracy = percent(best.validation_accuracy)
    return f" The best epoch, which is not the result, was {best.epoch} with {accuracy}."


def claim_table(run: Run, metrics: Sequence[EpochMetrics]) -> Table:
    """Return the result, and the size, time, machine and versions it holds for."""
    last = metrics[-1]
    rows = [
        ("Parameters", f"{run.recipe.architecture.parameters:,}"),
        ("Validation accuracy, last epoch", percent(last.validation_accuracy)),
        ("Training accuracy, last epoch", percent(last.train_accuracy)),
        ("Training − validation, points", points(last.train_accuracy - last.validation_accuracy)),
        ("Seed", str(run.seed)),
        ("Epochs", f"{len(metrics)} of {run.recipe.epochs}"),
        ("Seconds", f"{training_time_s(metrics, run.session):,.1f}"),
        *environment_rows([run.environment]),
    ]
    return Table(("Claim", run.recipe.name), tuple(rows), align="ll")


def epochs_table(run: Run, metrics: Sequence[EpochMetrics]) -> Table:
    """Return a row an epoch, the learning-rate drops marked."""
    dropped = {after.epoch: before for before, after in learning_rate_drops(run.recipe, metrics)}
    rows = tuple(
        (
            str(epoch.epoch),
            f"{epoch.learning_rate:g}",
            percent(epoch.train_accuracy),
            percent(epoch.validation_accuracy),
            f"{epoch.train_loss:.4f}",
            f"{epoch.validation_loss:.4f}",
            f"{epoch.total_time_s:.1f}",
            drop_text(dropped[epoch.epoch], epoch) if epoch.epoch in dropped else "",
        )
        for epoch in metrics
    )
    return Table(
        (
            "Epoch",
            "Learning rate",
            "Training",
            "Validation",
            "Training loss",
            "Validation loss",
            "Seconds",
            "Note",
        ),
        rows,
        align="rrrrrrrl",
        notes=(
            "Training accuracy is counted during the epoch, in training mode; validation accuracy after it.",
        ),
        marked=frozenset(epoch - 1 for epoch in dropped),
    )


def drop_text(before: EpochMetrics, after: EpochMetrics) -> str:
    """Return ``learning rate 0.1 → 0.01``."""
    return f"learning rate {before.learning_rate:g} → {after.learning_rate:g}"


def readings_blocks(readings: Sequence[Mapping[str, Any]]) -> tuple[Block, ...]:
    """Return every reading of the test set, or that there was none."""
    if not readings:
        return (Text("The test set was not read."),)
    # A reading's lists (per-class figures, confusions) are left to its file.
    names = list(
        dict.fromkeys(
            name
            for reading in readings
            for name, value in reading.items()
            if not isinstance(value, list | dict)
        )
    )
    rows = tuple(tuple(_cell(name, reading.get(name)) for name in names) for reading in readings)
    text = f"The test set was read {'once' if len(readings) == 1 else f'{len(readings)} times'}."
    return (Text(text), Table(tuple(names), rows, align="l" * len(names)))


def curves_alt(run: Run, metrics: Sequence[EpochMetrics]) -> str:
    """Return the curves in words."""
    last = metrics[-1]
    return (
        f"Training and validation accuracy by epoch of {run.recipe.name}, seed {run.seed}: "
        f"{percent(last.train_accuracy)} and {percent(last.validation_accuracy)} after epoch {last.epoch}."
    )


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return percent(value) if name == "accuracy" else f"{value:.4f}"
    return "" if value is None else str(value)
