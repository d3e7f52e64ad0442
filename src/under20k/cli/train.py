"""Train a recipe with one seed, into a run folder.

Ctrl-C, SIGTERM or a crash loses at most the current epoch; --resume continues after the last finished one,
and gives the same bits as an uninterrupted training.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from under20k.cli.options import (
    add_data_dir,
    add_engine,
    add_recipe_settings,
    add_runs_dir,
    compute_argument,
    places_argument,
    recipe_argument,
    recipe_changes,
)
from under20k.errors import shown
from under20k.recipe.seeds import check_seed
from under20k.runs.names import check_name


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k train``."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or a recipe.json")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="random seed: initial weights, shuffling, augmentation, dropout (default: %(default)s)",
    )
    add_runs_dir(parser)
    parser.add_argument("--name", help="name of the run folder (default: the recipe's name and the seed)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="continue an unfinished run")
    existing.add_argument("--overwrite", action="store_true", help="replace an existing run")
    add_engine(parser, "CPU threads (default: all cores; with --resume, as many as before)")
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_recipe_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and return the exit code. Raises UserError."""
    # Check the options before torch takes seconds to load.
    recipe = recipe_argument(arguments.recipe).with_changes(**recipe_changes(arguments))
    check_seed(arguments.seed)
    if (name := arguments.name) is not None:
        check_name(name, "--name")

    from under20k.formatting import percent
    from under20k.interactive.progress import Display, choice_text
    from under20k.runs.distillation import noted, training_time_s
    from under20k.runs.train import train

    compute = compute_argument(arguments)
    # A resumed run keeps its engine, even if another one would be chosen now.
    choice = "" if arguments.resume else choice_text(compute)
    with Display(choice=choice) as display:
        try:
            run = train(
                recipe,
                arguments.seed,
                compute=compute,
                places=places_argument(arguments),
                name=name,
                existing="resume" if arguments.resume else "replace" if arguments.overwrite else "refuse",
                on_event=display,
            )
        except KeyboardInterrupt:
            display.line(
                "stopped; run the same command with --resume to continue after the last finished epoch"
            )
            raise
    if not (run.path / "report.md").is_file():  # a finished run has it already
        from under20k.report.run import write_run_report  # Matplotlib takes a while to load

        write_run_report(run)
    metrics = run.metrics()
    if arguments.json:
        result = {
            "path": str(run.path),
            "recipe": run.recipe.to_dict(),
            "seed": run.seed,
            "epochs": [asdict(epoch) for epoch in metrics],
        }
        if run.recipe.distillation:
            result["teachers"] = noted(run.session)
        print(json.dumps(result, indent=2))
    else:
        print(
            f"{percent(metrics[-1].validation_accuracy)} validation accuracy at the last epoch, "
            f"{metrics[-1].epoch}; {training_time_s(metrics, run.session):,.1f} s\n{shown(str(run.path))}"
        )
    return 0
