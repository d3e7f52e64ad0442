"""The report of ``under20k reproduce``: each recipe next to the assignment's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.files import write_text
from under20k.formatting import percent
from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.limits import EPOCH_LIMIT, PARAMETER_LIMIT, TRAIN_IMAGES, VALIDATION_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.report.bench import seeds_text
from under20k.report.curves import curves_figure
from under20k.report.document import (
    NOT_DRAWN,
    Block,
    Bullets,
    Code,
    Details,
    Document,
    Grid,
    Picture,
    Section,
    Text,
)
from under20k.report.environment import environment_rows
from under20k.report.figures import themed
from under20k.report.reproduction.assignment import (
    CONFIGURATION,
    PROVENANCE,
    RECEPTIVE_FIELD,
    SPECIFIED,
    SpecifiedModel,
)
from under20k.report.reproduction.claims import recipe_claim
from under20k.report.reproduction.comparison import by_architecture, comparison_table, names_of
from under20k.report.reproduction.insights import drops, insights, insights_table
from under20k.report.reproduction.mistakes import Mistakes, file_part, mistakes_blocks
from under20k.report.reproduction.requirements import Verdicts, requirements
from under20k.report.reproduction.target import headline, target_cards, target_table, target_text
from under20k.report.tables import Table, architecture_table
from under20k.report.text_lines import wrapped
from under20k.report.words import (
    NOTHING,
    TARGET,
    mark,
    mark_notes,
    plural,
    recipe_settings,
)
from under20k.runs.bench.bench import Bench


def write_reproduction(
    benches: Sequence[Bench],
    verdicts: Verdicts,
    folder: Path,
    command: str,
    mistakes: Mistakes | None = None,
) -> Path:
    """Write ``report.html``, ``report.md`` and their pictures.

    Args:
        benches: At least one, each of another recipe.
        verdicts: What was checked, by recipe name.
        folder: Where the files go; made where it is missing.
        command: The command line that trained the seeds.
        mistakes: Evaluations to draw.

    Returns:
        The path of ``report.html``.

    Raises:
        UserError: A file cannot be written.
    """
    document = reproduction(benches, verdicts, command, mistakes)
    document.write_pictures(folder)
    write_text(folder / "report.md", document.markdown())
    # Written last: once the page exists, so do its pictures.
    page = folder / "report.html"
    write_text(page, document.html())
    return page


def reproduction_text(benches: Sequence[Bench], width: int | None = None) -> str:
    """Return the command's output: which recipes reach the target, then each next to the assignment."""
    specified = [bench for bench in benches if bench.recipe.name in SPECIFIED]
    parts = [
        "\n".join(wrapped(target_text(benches), width)),
        target_table(benches).text(width),
        *([comparison_table(specified).text(width)] if specified else []),
    ]
    return "\n\n".join(parts)


def reproduction(
    benches: Sequence[Bench],
    verdicts: Verdicts,
    command: str,
    mistakes: Mistakes | None = None,
    *,
    drawn: bool = True,
) -> Document:
    """Return the report of at least one recipe.

    Args:
        benches: Each of another recipe.
        verdicts: What was checked, by recipe name.
        command: The command line that trained the seeds.
        mistakes: Evaluations to draw; without any, the report has no section on misclassified images.
        drawn: If False, draw no PNG; Markdown needs only the file names.
    """
    wrong = mistakes_blocks(benches, mistakes) if mistakes else ()
    epochs = tuple(
        Details(f"{bench.recipe.name}, {seeds_text(bench)}", (seeds_epochs_table(bench),))
        for bench in benches
    )
    return Document(
        f"MNIST with fewer than {PARAMETER_LIMIT:,} parameters",
        overview(benches, drawn=drawn),
        (
            Section("Results", results(benches, command)),
            Section("Requirements", requirements(benches, verdicts)),
            *([Section("Misclassified images", wrong)] if wrong else []),
            Section("Model comparison", (comparison_table(benches),)),
            Section("Insights", (insights_table(benches), Bullets(tuple(insights(benches))))),
            Section("Epochs", epochs),
            Section("Training configuration", (configuration_table(benches),)),
            Section("Network structure", structure(benches)),
            Section("Environment", (times_table(benches),)),
        ),
    )


def overview(benches: Sequence[Bench], *, drawn: bool) -> tuple[Block, ...]:
    """Return which recipes reach the target, and their curves."""
    return (
        Text(headline(benches)),
        target_cards(benches),
        Grid(tuple(curves(bench, drawn=drawn) for bench in benches)),
    )


def results(benches: Sequence[Bench], command: str) -> tuple[Block, ...]:
    """Return each recipe's result in a sentence or two, the target, and the command."""
    return (
        Bullets(tuple(map(recipe_claim, benches))),
        Text(
            f"The target is {TARGET} validation accuracy with fewer than {PARAMETER_LIMIT:,} parameters in "
            f"fewer than {EPOCH_LIMIT} epochs. {PROVENANCE}"
        ),
        Text("The command that reproduces it:"),
        Code(command),
    )


def structure(benches: Sequence[Bench]) -> tuple[Block, ...]:
    """Return every layer of every architecture, and its receptive field next to the assignment's."""
    fields = {bench.recipe.architecture.receptive_field for bench in benches}
    counted = " and ".join(f"{side}×{side}" for side in sorted(fields))
    covers = "It covers" if min(fields) >= IMAGE_SIDE else "In some models it does not cover"
    layers = [
        Details(
            f"Layers of {names_of(group)}: {group[0].recipe.architecture.parameters:,} parameters",
            (layers_of(group[0].recipe, names_of(group)),),
        )
        for group in by_architecture(benches)
    ]
    return (
        Text(
            f"The assignment states a receptive field of {RECEPTIVE_FIELD}×{RECEPTIVE_FIELD} pixels. "
            f"Including padding, it is {counted}. {covers} the {IMAGE_SIDE}×{IMAGE_SIDE} image."
        ),
        *layers,
    )


def layers_of(recipe: Recipe, names: str) -> Block:
    """Return the table of a network's layers; of a model without a graph, why there is none."""
    if recipe.own and recipe.own.graph is None:
        return Text(f"{recipe.own.why}, so only PyTorch computes it, and its layers are not known here.")
    return architecture_table(recipe, names)


def configuration_table(benches: Sequence[Bench]) -> Table:
    """Return each recipe's training settings next to the assignment's."""
    columns = []
    for bench in benches:
        columns.append((bench.recipe.name, settings(bench)))
        if specified := SPECIFIED.get(bench.recipe.name):
            columns.append(("assignment", stated_settings(specified)))
    header = ("Setting", *(title for title, _ in columns))
    names = dict.fromkeys(name for bench in benches for name in settings(bench))
    rows = tuple((name, *(column.get(name, NOTHING) for _, column in columns)) for name in names)
    return Table(header, rows, align="l" * len(header))


def settings(bench: Bench) -> dict[str, str]:
    """Return a recipe's settings by name, and whether its runs read the test set."""
    readings = sum(seed.test_readings for seed in bench.seeds)
    return {
        "Training images": f"{TRAIN_IMAGES:,}",
        "Validation images": f"{VALIDATION_IMAGES:,}",
        "Test images": f"read {plural(readings, 'time')}" if readings else "not read",
        **recipe_settings(bench.recipe),
    }


def stated_settings(specified: SpecifiedModel) -> dict[str, str]:
    """Return the same settings as the assignment gives them."""
    return {
        **CONFIGURATION,
        "Epochs": str(len(specified.epochs)),
        "Augmentation": specified.augmentation,
        "Dropout": specified.dropout,
    }


def seeds_epochs_table(bench: Bench) -> Table:
    """Return a row per epoch over the seeds, with learning-rate drops and the assignment's figures."""
    specified = SPECIFIED.get(bench.recipe.name)
    stated = specified.epochs if specified else ()
    dropped = {drop.epoch for drop in drops(bench)}
    mean = "" if bench.single else ", mean ± sd"
    header = ["Epoch", "Learning rate", f"Training{mean}", f"Validation{mean}"]
    header += [] if bench.single else ["Lowest and highest"]
    rows = []
    for epoch in range(1, max(bench.recipe.epochs, len(stated)) + 1):
        ours, notes = [""] * (len(header) - 1), ""
        if epoch <= bench.recipe.epochs:
            ours, notes = _epoch_cells(bench, epoch), _epoch_notes(bench, epoch, epoch in dropped)
        theirs = [percent(value) for value in stated[epoch - 1]] if epoch <= len(stated) else [NOTHING] * 2
        rows.append((str(epoch), *ours, *(theirs if specified else ()), notes))
    header += ["Assignment, training", "Assignment, validation"] if specified else []
    return Table(
        (*header, "Note"),
        tuple(rows),
        align="r" * len(header) + "l",
        marked=frozenset(epoch - 1 for epoch in dropped),
    )


def _epoch_cells(bench: Bench, epoch: int) -> list[str]:
    """Return learning rate, training and validation accuracy, and of several seeds the range."""
    training, validation = bench.training(epoch), bench.validation(epoch)
    rate = f"{bench.seeds[0].epochs[epoch - 1].learning_rate:.3g}"
    spread = [] if bench.single else [validation.range]
    return [rate, str(training), str(validation), *spread]


def _epoch_notes(bench: Bench, epoch: int, dropped: bool) -> str:
    """Return ``learning rate drop, first ≥ 99.40%: 2 seeds``, as far as it holds."""
    notes = ["learning rate drop"] * dropped
    if hits := bench.first_hits.count(epoch):
        notes.append(f"first ≥ {TARGET}" + ("" if bench.single else f": {plural(hits, 'seed')}"))
    return ", ".join(notes)


def curves(bench: Bench, *, drawn: bool = True) -> Picture:
    """Return the training curves of one recipe; not ``drawn``, it has no PNG."""
    recipe, last = bench.recipe, bench.recipe.epochs
    file = f"curves-{file_part(recipe.name)}.png"
    mean = "" if bench.single else "mean "
    alt = (
        f"Training and validation accuracy by epoch of {recipe.name}, {seeds_text(bench)}, with the target "
        f"of {TARGET}. After epoch {last}, {mean}training accuracy is {bench.training(last)} "
        f"and {mean}validation accuracy {bench.summary.last}."
    )
    runs = [seed.epochs for seed in bench.seeds]
    light, dark = themed(lambda theme: curves_figure(runs, recipe, theme)) if drawn else NOT_DRAWN
    return Picture(file, light, alt, dark)


def times_table(benches: Sequence[Bench]) -> Table:
    """Return the seeds' hardware and software, and how long each recipe took."""
    rows = environment_rows([seed.environment for bench in benches for seed in bench.seeds])
    for bench in benches:
        mean = "" if bench.single else ", mean of a seed"
        statistics = bench.statistics
        rows.append(
            (
                f"Time, {bench.recipe.name}{mean}",
                f"{statistics.time_s.mean:,.1f} s for {plural(bench.recipe.epochs, 'epoch')}; "
                f"{statistics.images_per_s.mean:,.0f} training images a second{mark(bench.times_differ_in)}",
            )
        )
    notes = mark_notes({bench.recipe.name: bench.times_differ_in for bench in benches})
    return Table(("Property", "Value"), tuple(rows), align="ll", notes=notes)
