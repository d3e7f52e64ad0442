"""Evaluate a finished run: accuracy, loss, figures per class, confusion matrix, misclassified images.

Figures and pictures go into the run folder, which also records each reading of the test set. A note on stderr
says if the validation accuracy differs from that of the run's last epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from under20k.cli.options import (
    add_data_dir,
    add_engine,
    add_quiet,
    compute_argument,
    display,
    note,
    places_argument,
)
from under20k.errors import UserError, shown


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k evaluate``."""
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a run folder")
    parser.add_argument(
        "--test",
        action="store_true",
        help="evaluate on the 10,000 test images instead of the 10,000 validation images",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder for the files (default: the run folder)"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the code of a model of your own, where only that can compute it",
    )
    add_engine(parser, "CPU threads (default: all cores)", trains=False)
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write the files, and return the exit code. Raises UserError."""
    from under20k.runs.run import Run

    # Check the folder before torch takes seconds to load.
    check_run_folder(arguments.run)
    run = Run.open(arguments.run)
    run.weights()
    last = run.metrics()[-1]

    from under20k.files import write_json
    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.evaluation import beside_last_epoch, draw_confusion, draw_gallery, evaluation_text
    from under20k.report.run import write_run_report
    from under20k.runs.evaluate import SplitName, evaluate, load_split

    source = None
    if run.recipe.own:
        from under20k.checking.training.kept import source_of

        source = source_of(run, trust=arguments.trust)
    split: SplitName = "test" if arguments.test else "validation"
    compute, places = compute_argument(arguments), places_argument(arguments)
    with display(arguments) as shown_by:
        evaluation = evaluate(run, split, compute=compute, places=places, source=source, on_event=shown_by)
        images = load_split(split, places.data, shown_by)
    if split == "test":
        write_run_report(run)  # which names every reading of the test set
    folder = arguments.output or run.path
    files = {
        "figures": folder / f"{split}.json",
        "confusion matrix": folder / f"{split}-confusion.png",
        "misclassified": folder / f"{split}-misclassified.png",
    }
    write_json(files["figures"], evaluation.to_dict())
    draw_confusion(evaluation, files["confusion matrix"])
    assert evaluation.logits is not None
    draw_gallery(images.images, images.labels, evaluation.logits, files["misclassified"])
    if split == "validation" and (beside := beside_last_epoch(evaluation, last)):
        note(arguments, f"note: {beside}")
    if arguments.json:
        print(json.dumps(evaluation.to_dict(), indent=2))
    else:
        say(f"{evaluation_text(evaluation, terminal_width())}\n")
        for what, path in files.items():
            say(f"{what + ':':<17} {shown(str(path))}")
    return 0


def check_run_folder(path: Path | None) -> None:
    """Raise UserError, with the run that may be meant, if there is no such folder or none was named."""
    from under20k.runs.leaderboard import suggested

    if path is None:
        raise UserError(f"name the run to evaluate; {suggested(Path('minimal-0'))}")
    if not path.is_dir():
        raise UserError(f"there is no run folder {path}; {suggested(path)}")
