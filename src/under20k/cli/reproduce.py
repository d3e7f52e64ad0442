"""Reproduce the assignment: train its two models, as it does and better; check, compare and report them.

Four recipes: the assignment's own, regularized and minimal, and regularized-plus and minimal-plus, which
train the same architectures better in as many epochs. The first lines say which reach 99.40%; the last one
names the report.

With a recipe, or a PyTorch model of your own, the report has that in front of the four.

Finished runs are reused and stopped ones resumed, so repeating the command costs little. A note names each
reused run that another engine or other numerics trained. Each recipe's seeds also become a bench in benches/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from under20k.cli.options import (
    THREADS,
    add_data_dir,
    add_engine,
    add_jobs,
    add_quiet,
    add_runs_dir,
    compute_argument,
    display,
    jobs_argument,
    note,
    places_argument,
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
from under20k.cli.verdict import warn_of_limits
from under20k.errors import UserError, shown
from under20k.recipe.seeds import consecutive_from_0, parse_seeds

if TYPE_CHECKING:
    from under20k.checking.findings import Finding
    from under20k.engine.base import Compute
    from under20k.report.reproduction.mistakes import Mistakes
    from under20k.runs.bench.bench import Bench
    from under20k.runs.places import Places


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``under20k reproduce``."""
    parser.add_argument(
        "recipe", nargs="?", metavar=TARGET, help=f"to stand in the report, too: {TARGET_HELP}"
    )
    parser.add_argument(
        "--seeds",
        default="0",
        metavar="SEEDS",
        help="consecutive seeds from 0, such as 0-9 (default: %(default)s)",
    )
    add_jobs(parser)
    add_runs_dir(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        default=Path("report"),
        help="folder of the report (default: %(default)s)",
    )
    add_engine(parser, THREADS)
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    add_quiet(parser)
    add_target_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, check and report; return the exit code. Raises UserError."""
    seeds, jobs = seeds_argument(arguments.seeds), jobs_argument(arguments)
    compute, places = compute_argument(arguments), places_argument(arguments)
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UserError(f"{arguments.output} is a file; name a folder for the report with --output")

    check_target_options(arguments, arguments.recipe)
    model = training_argument(arguments, arguments.recipe, seeds, {}) if arguments.recipe else None

    from under20k.report.bench import write_bench_report
    from under20k.report.reproduction.page import write_reproduction
    from under20k.runs.bench.reproduce import reproduce
    from under20k.runs.bench.run_bench import bench_path
    from under20k.runs.provenance import command

    if model is not None:
        warn_of_limits(recipe_of(model))
    advise("run the command again to continue after the last finished epochs")
    with display(arguments, "trainings") as shown_by:
        benches = reproduce(seeds, model=model, compute=compute, places=places, jobs=jobs, on_event=shown_by)
    verdicts = {bench.recipe.name: verdict(arguments, bench, places) for bench in benches}
    for bench in benches:
        write_bench_report(bench, bench_path(places.benches, bench.recipe.name, seeds))
    mistakes = evaluated(benches, compute, places)
    page = write_reproduction(benches, verdicts, arguments.output, command(), mistakes)
    if arguments.json:
        recipes = {bench.recipe.name: bench.to_dict() for bench in benches}
        print(json.dumps({"command": command(), "recipes": recipes}, indent=2))
    else:
        show(benches, verdicts, page)
    return 0


def verdict(arguments: argparse.Namespace, bench: Bench, places: Places) -> Sequence[Finding]:
    """Return what is checked of a recipe's run with seed 0; of a user's model, by the source that it keeps.

    One that cannot be judged is named on stderr. Raises UserError for a run that cannot be read.
    """
    from under20k.checking.check import check
    from under20k.checking.training.kept import judge_kept
    from under20k.runs.run import Run, run_path

    run = Run.open(run_path(places.runs, bench.recipe.name, 0))
    if run.recipe.own is None:
        return check(run)
    try:
        return judge_kept(run).findings
    except UserError as error:
        note(arguments, f"no requirement of {bench.recipe.name} was checked: {error}")
        return ()


def seeds_argument(text: str) -> tuple[int, ...]:
    """Return the seeds of ``--seeds``. Raises UserError unless they are consecutive from 0."""
    seeds = parse_seeds(text)
    if consecutive_from_0(seeds):
        return seeds
    from under20k.runs.bench.reproduce import MAX_SEEDS

    one = len(seeds) == 1 and text.isdigit()
    amount = seeds[0] if one else seeds[-1] + 1
    if amount > MAX_SEEDS:
        raise UserError(f"--seeds is {text!r}; give consecutive seeds from 0, at most {MAX_SEEDS:,} of them")
    if one:
        number = "1 seed" if amount == 1 else f"{amount} seeds"
        raise UserError(f"--seeds is {text!r}, which is one seed; for {number} give {first(amount)}")
    raise UserError(f"--seeds is {text!r}: they have to be consecutive from 0; give {first(amount)}")


def first(amount: int) -> str:
    """Return the first seeds as typed for ``--seeds``: ``0-9`` for ten of them."""
    return "0" if amount == 1 else f"0-{amount - 1}"


def evaluated(benches: Sequence[Bench], compute: Compute, places: Places) -> Mistakes:
    """Return what the models of seed 0 predict for the validation images. Raises UserError."""
    from under20k.checking.training.kept import source_of
    from under20k.report.reproduction.mistakes import Mistakes
    from under20k.runs.evaluate import evaluate, load_split
    from under20k.runs.run import Run, run_path

    evaluations = {}
    for name in (bench.recipe.name for bench in benches):
        run = Run.open(run_path(places.runs, name, 0))
        source = source_of(run, trust=True)  # the model was given with --trust, or trained before
        evaluations[name] = evaluate(run, compute=compute, places=places, source=source)
    return Mistakes(0, load_split("validation", places.data), evaluations)


def show(benches: Sequence[Bench], verdicts: Mapping[str, Sequence[Finding]], page: Path) -> None:
    """Print the comparison, the recipes at the target, the requirements met, and the report's path."""
    from under20k.checking.findings import missed, unmet_advice
    from under20k.interactive.terminal import say, terminal_width
    from under20k.report.reproduction.page import reproduction_text
    from under20k.report.words import signed

    say(f"{reproduction_text(benches, terminal_width())}\n")
    for name, findings in verdicts.items():
        count = f"{sum(finding.passed for finding in findings)} of {len(findings)} requirements met"
        rules, advice = missed(findings), unmet_advice(findings)
        count += f"; missed: {', '.join(rules)}" if rules else ""
        count += f"; advised and not met: {', '.join(advice)}" if advice else ""
        say(f"{name}: {signed(not rules, count)}")
    say(f"report: {shown(str(page.absolute()))}")
