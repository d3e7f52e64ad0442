"""Evaluate a finished run, or a PyTorch model of your own with weights that you trained.

Prints accuracy, loss, figures per class and the confusion matrix; draws it and the misclassified images.

Of a run, the files go into its folder, which also records each reading of the test set. A note on stderr says
if the validation accuracy differs from that of the run's last epoch. Of a model of your own, they go to
evaluations/ under the names of model and weights file, such as evaluations/Net-a/ for --weights a.pth; the
normalisation that its weights were trained with is found and named on stderr.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.cli.options import (
    add_data_dir,
    add_engine,
    add_quiet,
    compute_argument,
    display,
    note,
    places_argument,
)
from under20k.cli.own_weights import add_weights_options, check_weights_options, weights_arguments
from under20k.errors import UserError, shown
from under20k.recipe.own_model import is_target

if TYPE_CHECKING:
    from under20k.engine.evaluation import Evaluation
    from under20k.runs.evaluate import SplitName


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k evaluate``."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN|TARGET",
        help="a run folder, or a PyTorch model of your own, as file.py:Name with --weights",
    )
    parser.add_argument(
        "--test",
        action="store_true",
        help="evaluate on the 10,000 test images instead of the 10,000 validation images",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder for the files (default: the run folder, or evaluations/MODEL-WEIGHTS)",
    )
    add_engine(parser, "CPU threads (default: all cores)", trains=False)
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_weights_options(parser)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the files, and return the exit code. Raises UserError."""
    check_weights_options(arguments, arguments.run)
    if arguments.run is not None and is_target(arguments.run) and not Path(arguments.run).is_dir():
        return run_weights(arguments)
    from under20k.runs.run import Run

    # Check the folder before torch takes seconds to load.
    check_run_folder(None if arguments.run is None else Path(arguments.run))
    run = Run.open(arguments.run)
    run.weights()
    last = run.metrics()[-1]

    from under20k.report.evaluation import beside_last_epoch
    from under20k.report.run import write_run_report
    from under20k.runs.evaluate import evaluate

    source = None
    if run.recipe.own:
        from under20k.checking.training.kept import source_of

        source = source_of(run, trust=arguments.trust)
    split = split_argument(arguments)
    compute, places = compute_argument(arguments), places_argument(arguments)
    with display(arguments) as shown_by:
        evaluation = evaluate(run, split, compute=compute, places=places, source=source, on_event=shown_by)
    if split == "test":
        write_run_report(run)  # which names every reading of the test set
    beside = beside_last_epoch(evaluation, last) if split == "validation" else ""
    if beside:
        note(arguments, f"note: {beside}")
    write_and_print(arguments, evaluation, arguments.output or run.path, {})
    return 0


def run_weights(arguments: argparse.Namespace) -> int:
    """Evaluate a model of the user's with trained weights, and return the exit code. Raises UserError."""
    weights, given, normalisation = weights_arguments(arguments, arguments.run)

    from under20k.checking.training.load import own_recipe
    from under20k.deploy.evaluate import evaluate_weighted
    from under20k.deploy.weighted import load_weighted
    from under20k.runs.names import safe_name

    split = split_argument(arguments)
    compute, places = compute_argument(arguments), places_argument(arguments)
    with display(arguments) as shown_by:
        found = load_weighted(
            arguments.run, weights, given, normalisation, data_dir=places.data, on_event=shown_by
        )
        for line in found.notes:
            note(arguments, line)
        evaluation = evaluate_weighted(found, split, compute=compute, places=places, on_event=shown_by)
    # The weights are in the name, so that others of the same model keep their figures.
    name = safe_name(f"{own_recipe(found.model).name}-{weights.stem}")
    folder = arguments.output or Path("evaluations") / name
    facts = {"model": arguments.run, "weights": str(weights), "inputs": found.accuracy.normalisation}
    write_and_print(arguments, evaluation, folder, facts)
    return 0


def split_argument(arguments: argparse.Namespace) -> SplitName:
    """Return the split that is evaluated."""
    return "test" if arguments.test else "validation"


def write_and_print(
    arguments: argparse.Namespace, evaluation: Evaluation, folder: Path, facts: dict[str, Any]
) -> None:
    """Write an evaluation's figures and pictures, and print it.

    Args:
        arguments: of the command line.
        evaluation: with its logits and images.
        folder: where the files go.
        facts: what is known beside the figures, for JSON.

    Raises:
        UserError: a file cannot be written.
    """
    from under20k.files import write_json
    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.evaluation import draw_confusion, draw_gallery, evaluation_text

    split, images, values = evaluation.split, evaluation.data, facts | evaluation.to_dict()
    assert evaluation.logits is not None
    assert images is not None
    files = {
        "figures": folder / f"{split}.json",
        "confusion matrix": folder / f"{split}-confusion.png",
        "misclassified": folder / f"{split}-misclassified.png",
    }
    write_json(files["figures"], values)
    draw_confusion(evaluation, files["confusion matrix"])
    draw_gallery(images.images, images.labels, evaluation.logits, files["misclassified"])
    if arguments.json:
        print(json.dumps(values, indent=2))
        return
    say(f"{evaluation_text(evaluation, terminal_width())}\n")
    for what, path in files.items():
        say(f"{what + ':':<17} {shown(str(path))}")


def check_run_folder(path: Path | None) -> None:
    """Raise UserError, with the run that may be meant, if there is no such folder or none was named."""
    from under20k.runs.leaderboard import suggested

    if path is None:
        raise UserError(f"name the run to evaluate; {suggested(Path('minimal-0'))}")
    if not path.is_dir():
        raise UserError(f"there is no run folder {path}; {suggested(path)}")
