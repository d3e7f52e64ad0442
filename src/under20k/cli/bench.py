"""Train a recipe over many seeds and report statistics; with --vs, compare two recipes.

Seeds finished with the same engine and numerics are reused, and a stopped bench continues, so the same
command with more seeds trains only the new ones. Every seed counts at its last epoch.

Exit code 1 if a seed failed; the statistics then cover the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from under20k.cli.options import (
    THREADS,
    add_data_dir,
    add_engine,
    add_jobs,
    add_quiet,
    add_recipe_settings,
    add_runs_dir,
    compute_argument,
    display,
    jobs_argument,
    places_argument,
    recipe_changes,
)
from under20k.cli.signals import advise
from under20k.cli.targets import (
    TARGET,
    TARGET_HELP,
    add_target_options,
    check_target_options,
    other_argument,
    recipe_of,
    training_argument,
)
from under20k.cli.verdict import warn_of_limits
from under20k.errors import UserError, shown
from under20k.recipe.seeds import parse_seeds

if TYPE_CHECKING:
    from under20k.runs.bench.run_bench import BenchResult


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k bench``."""
    parser.add_argument("recipe", metavar=TARGET, help=TARGET_HELP)
    parser.add_argument(
        "--seeds",
        default="0-29",
        metavar="SEEDS",
        help="such as 5, 0-9, 1,4,7 or 0-4,7; a claim needs consecutive ones from 0 (default: %(default)s)",
    )
    parser.add_argument(
        "--vs",
        metavar=TARGET,
        help="also train this recipe, unchanged, or this model by the same settings, and report the "
        "difference, paired by seed",
    )
    parser.add_argument(
        "--detect",
        type=float,
        nargs="+",
        metavar="POINTS",
        help="with --vs: effect sizes in percentage points; print the number of seeds needed to detect each "
        "(default: 0.01 0.02 0.05)",
    )
    where = parser.add_mutually_exclusive_group()
    add_jobs(where)
    where.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="train on the workers of this Dask scheduler, such as tcp://127.0.0.1:8786 (docs/cluster.md)",
    )
    add_runs_dir(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("benches"),
        help="parent of the bench folder (default: %(default)s)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="retrain seeds that another engine or other numerics trained; without it, they are an error",
    )
    add_engine(parser, THREADS)
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    add_quiet(parser)
    add_target_options(parser)
    add_recipe_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, write the report, and return the exit code. Raises UserError."""
    changes, seeds = recipe_changes(arguments), parse_seeds(arguments.seeds)
    jobs, vs = jobs_argument(arguments), arguments.vs
    if arguments.detect is not None:
        if vs is None:
            raise UserError("--detect needs the difference of two recipes; give --vs too")
        if wrong := [size for size in arguments.detect if not 0 < size <= 100]:
            raise UserError(f"--detect is {wrong[0]}; give percentage points above 0")
    check_target_options(arguments, arguments.recipe, vs)
    recipe = training_argument(arguments, arguments.recipe, seeds, changes)
    other = None if vs is None else other_argument(arguments, recipe, seeds, changes)

    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.bench import DETECTABLE, bench_text, write_bench_report
    from under20k.runs.bench.run_bench import bench

    compute = compute_argument(arguments)
    advise("run the command again to continue after the last finished epochs")
    warn_of_limits(recipe_of(recipe))
    if other is not None:
        warn_of_limits(recipe_of(other))
    with display(arguments, "seeds") as shown_by:
        result = bench(
            recipe,
            seeds,
            versus=other,
            compute=compute,
            places=places_argument(arguments, arguments.output),
            jobs=jobs,
            cluster=arguments.cluster,
            existing="replace" if arguments.overwrite else "resume",
            on_event=shown_by,
        )
    write_bench_report(result.bench, result.folder)
    if result.other and result.other_folder:
        write_bench_report(result.other, result.other_folder)
    detect = [size / 100 for size in arguments.detect] if arguments.detect else DETECTABLE
    if arguments.json:
        print(json.dumps(as_dict(result, detect), indent=2))
    else:
        say(bench_text(result.bench, result.other, detect, terminal_width()))
        for folder in filter(None, (result.folder, result.other_folder)):
            say(f"bench: {shown(str(folder))}")
    failed = [*result.bench.failures, *(result.other.failures if result.other else ())]
    return 1 if failed else 0


def as_dict(result: BenchResult, detectable: Sequence[float]) -> dict[str, object]:
    """Return the result as plain values for JSON; ``detectable`` are effect sizes, as fractions."""
    values: dict[str, object] = {"folder": str(result.folder), **result.bench.to_dict()}
    if result.other is None:
        return values
    values["versus"] = {
        "folder": str(result.other_folder),
        **result.other.to_dict(),
        "difference": result.bench.versus(result.other).to_dict(detectable),
    }
    return values
