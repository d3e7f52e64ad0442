"""The main job: the specification's models, as it trains them and better, checked, compared and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from under20k.checking.check import check
from under20k.data import load
from under20k.engine.base import Compute
from under20k.errors import UserError
from under20k.files import write_json
from under20k.recipe.named import MINIMAL, MINIMAL_PLUS, REGULARIZED, REGULARIZED_PLUS
from under20k.recipe.recipe import Recipe
from under20k.runs.events import OnEvent, ignore
from under20k.runs.parallel.processes import end_if_only_imported
from under20k.runs.parallel.scheduler import train_all
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.provenance import command
from under20k.runs.run import Run

if TYPE_CHECKING:
    from under20k.checking.findings import Finding

REPRODUCED = (REGULARIZED, MINIMAL, REGULARIZED_PLUS, MINIMAL_PLUS)
"""The specification's two, and the same two architectures in the same epochs trained better."""
RESULTS_FORMAT = 1
MAX_SEEDS = 1000


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction gave, each by recipe name."""

    runs: Mapping[str, Sequence[Run]]
    """One run a seed, in the order of the seeds."""
    verdicts: Mapping[str, Sequence[Finding]]
    report: Path
    """The HTML page; beside it lie its Markdown twin, the pictures and ``results.json``."""


def reproduce(
    seeds: int = 1,
    *,
    recipes: Sequence[Recipe] | None = None,
    compute: Compute = Compute(),
    places: Places = Places(),
    report_dir: Path | str = "report",
    jobs: int | None = None,
    on_event: OnEvent = ignore,
) -> Reproduction:
    """Train ``recipes``, by default ``REPRODUCED``, with seeds 0 to ``seeds`` − 1; check and report.

    Finished runs in ``places.runs`` are reused, unfinished ones resumed; ``jobs`` trainings run at a time,
    each on ``compute.threads`` threads. In a script, call it under ``if __name__ == "__main__":``, since its
    processes import the script. Raises UserError for whatever is wrong; what is finished is kept.
    """
    end_if_only_imported()
    if not 1 <= seeds <= MAX_SEEDS:
        raise UserError(f"seeds: {seeds}; allowed are whole numbers from 1 to {MAX_SEEDS}")
    if Path(report_dir).exists() and not Path(report_dir).is_dir():
        raise UserError(f"{report_dir} is a file; name a folder for the report with --output")
    recipes = REPRODUCED if recipes is None else recipes
    load(places.data, on_event=on_event)  # once, rather than in every process at the same time
    # The longest trainings first: what is left at the end is short.
    by_length = sorted(recipes, key=lambda recipe: -recipe.epochs)
    tasks = [Task(recipe, seed, places, compute) for recipe in by_length for seed in range(seeds)]
    outcome = train_all(tasks, jobs=jobs, on_event=on_event)
    outcome.raise_first()
    runs = {
        recipe.name: [outcome.runs[task.path] for task in tasks if task.recipe == recipe]
        for recipe in recipes
    }
    verdicts = {name: check(of_recipe[0]) for name, of_recipe in runs.items()}

    from under20k.report.reproduction.page import write_reproduction

    write_json(Path(report_dir) / "results.json", results(runs))
    report = write_reproduction(runs, verdicts, Path(report_dir), command())
    return Reproduction(runs, verdicts, report)


def results(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Every number that the report is made from, as plain values: ``results.json``."""
    return {
        "format": RESULTS_FORMAT,
        "command": command(),
        "recipes": {
            name: {
                "recipe": of_recipe[0].recipe.to_dict(),
                "parameters": of_recipe[0].recipe.architecture.parameters,
                "runs": [
                    {
                        "seed": run.seed,
                        "environment": run.environment,
                        "epochs": [asdict(epoch) for epoch in run.metrics()],
                    }
                    for run in of_recipe
                ],
            }
            for name, of_recipe in runs.items()
        },
    }
