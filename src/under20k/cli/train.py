"""Train a recipe with one seed, into a run folder.

Ctrl-C, SIGTERM or a crash loses at most the current epoch: the same command continues after the last
finished one, and gives the same bits as an uninterrupted training. A finished run is reused.

The last lines say whether validation accuracy reached 99.40% with fewer than 20,000 parameters in fewer
than 20 epochs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from under20k.cli.options import (
    add_data_dir,
    add_engine,
    add_quiet,
    add_recipe_settings,
    add_runs_dir,
    compute_argument,
    display,
    places_argument,
    recipe_changes,
)
from under20k.cli.signals import advise
from under20k.cli.targets import (
    TARGET,
    TARGET_HELP,
    add_target_options,
    check_target_options,
    recipe_of,
    training_argument,
)
from under20k.cli.verdict import bench_command, closing_lines, continued, target_values, warn_of_limits
from under20k.errors import InvalidValue, UserError
from under20k.files import is_present
from under20k.recipe.seeds import parse_seed, parse_seeds
from under20k.runs.names import check_name

if TYPE_CHECKING:
    from under20k.runs.run import Run


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k train``."""
    parser.add_argument("recipe", metavar=TARGET, help=TARGET_HELP)
    parser.add_argument(
        "--seed",
        default="0",
        metavar="SEED",
        help="random seed: initial weights, shuffling, augmentation, dropout (default: %(default)s)",
    )
    add_runs_dir(parser)
    parser.add_argument("--name", help="name of the run folder (default: the recipe's name and the seed)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="require a run to continue or reuse")
    existing.add_argument("--overwrite", action="store_true", help="train again, replacing the run")
    parser.add_argument(
        "--snapshots",
        action="store_true",
        help="keep the weights of every epoch in the run folder, which 'under20k draw' shows as a film",
    )
    add_engine(parser, "CPU threads (default: all cores; resuming, as many as before)")
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_quiet(parser)
    add_target_options(parser)
    add_recipe_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, and return the exit code. Raises UserError."""
    # Check the options before torch takes seconds to load.
    changes, seed = recipe_changes(arguments), seed_argument(arguments)
    if (name := arguments.name) is not None:
        check_name(name, "--name")
    check_target_options(arguments, arguments.recipe)
    training = training_argument(arguments, arguments.recipe, [seed], changes)
    recipe = recipe_of(training)

    from under20k.interactive.progress import choice_text
    from under20k.runs.distillation import training_time_s
    from under20k.runs.run import run_path
    from under20k.runs.train import has_training, train

    compute, places = compute_argument(arguments), places_argument(arguments)
    path = run_path(places.runs, recipe.name, seed)
    path = path.with_name(name) if name else path
    there = any(is_present(path / name) for name in ("recipe.json", "environment.json"))
    if arguments.resume and not there:
        raise UserError(f"there is no run in {path} to resume; leave out --resume to train it")
    # A resumed run keeps its engine, even if another one would be chosen now.
    kept = has_training(path) and not arguments.overwrite
    choice = "" if kept or (recipe.own and not recipe.own.graph) else choice_text(compute)
    again = "leave out --overwrite" if arguments.overwrite else "run the command again"
    advise(f"{again} to continue after the last finished epoch")
    warn_of_limits(recipe)
    with display(arguments, choice=choice) as shown:
        run = train(
            training,
            seed,
            compute=compute,
            places=places,
            name=name,
            existing="replace" if arguments.overwrite else "resume",
            on_event=shown,
            snapshots=arguments.snapshots,
        )
    if not (run.path / "report.md").is_file():  # a finished run has it already
        from under20k.report.run import write_run_report  # Matplotlib takes a while to load

        write_run_report(run)
    arguments.trust = arguments.trust or run.recipe.own is not None  # its code makes other seeds' weights
    time_s, following = training_time_s(run.metrics(), run.session), bench_command(arguments)
    if arguments.json:
        print(json.dumps(as_dict(run, time_s, following), indent=2))
    else:
        from under20k.interactive.terminal import say, terminal_width

        say("\n".join(closing_lines(run, time_s)))
        print("\n".join(continued(following, terminal_width())))
    return 0


def as_dict(run: Run, time_s: float, following: str) -> dict[str, Any]:
    """Return what ``--json`` prints of a finished run.

    Args:
        run: the run.
        time_s: that its training took.
        following: the command to type next.
    """
    from under20k.runs.distillation import noted

    result = {
        "path": str(run.path),
        "recipe": run.recipe.to_dict(),
        "seed": run.seed,
        "target": target_values(run),
        "time_s": time_s,
        "next": following,
        "epochs": [asdict(epoch) for epoch in run.metrics()],
    }
    return result | ({"teachers": noted(run.session)} if run.recipe.distillation else {})


def seed_argument(arguments: argparse.Namespace) -> int:
    """Return ``--seed``. Raises UserError unless it is one seed."""
    text: str = arguments.seed
    try:
        several = len(parse_seeds(text)) > 1
    except InvalidValue:
        several = False
    if several:
        command = bench_command(arguments, text)
        raise UserError(f"--seed is {text!r}, and train takes one seed; for several: {command}")
    return parse_seed(text)
