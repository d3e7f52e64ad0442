"""Train a recipe over many seeds, and collect their statistics.

A bench folder holds ``bench.json``: the recipe, every seed's epochs and environment, the statistics. The run
folders stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Literal, Unpack

from under20k.data import load
from under20k.drawing import Drawable
from under20k.engine.base import Compute
from under20k.engine.select import fitting
from under20k.errors import UserError, shown
from under20k.recipe.changes import RecipeChanges, lists_changes
from under20k.recipe.fields import choice
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seeds, seeds_as_typed
from under20k.runs.bench.bench import Bench
from under20k.runs.events import OnEvent, ignore
from under20k.runs.names import folded, safe_name
from under20k.runs.own_start import OwnTraining, training_of
from under20k.runs.parallel.reuse import Differing
from under20k.runs.parallel.scheduler import Outcome, train_all
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places, check_compute_and_places, check_settings
from under20k.runs.provenance import command

MAX_SEEDS_TEXT = 40
"""Bytes of a bench folder's name for the seeds; more are cut, and end in a digest."""
DIFFERING: dict[str, Differing] = {"resume": "refuse", "replace": "replace", "reuse": "reuse"}


@dataclass(frozen=True)
class BenchResult(Drawable):
    """The result of ``bench``."""

    bench: Bench
    folder: Path
    other: Bench | None = None
    """The bench of the recipe ``versus``."""
    other_folder: Path | None = None

    def __repr__(self) -> str:
        versus = f" versus {self.other!r}" if self.other else ""
        return f"BenchResult({self.bench!r}{versus}, {shown(str(self.folder))})"


@lists_changes
def bench(
    recipe: Recipe | str | OwnTraining,
    seeds: Sequence[int] = range(30),
    *,
    versus: Recipe | str | OwnTraining | None = None,
    compute: Compute = Compute(),
    places: Places = Places(),
    jobs: int | None = None,
    cluster: str | None = None,
    existing: Literal["resume", "replace", "reuse"] = "resume",
    on_event: OnEvent = ignore,
    **changes: Unpack[RecipeChanges],
) -> BenchResult:
    """Train a recipe once for each of many seeds, and collect the results.

    A seed whose training fails is named in ``Bench.failures``.

    Args:
        recipe: a Recipe, the name of one, or the training of a user's own model.
        seeds: different ones, in any order; a claim needs consecutive ones from 0.
        versus: another recipe, trained on the same seeds.
        compute: what to train on; ``threads`` are those of each training.
        places: of the runs, the benches, and MNIST.
        jobs: trainings in parallel on this machine; by default what is measured to be fastest.
        cluster: the address of a Dask scheduler, whose workers train instead.
        existing: runs that the same engine and numerics have finished are reused, unfinished ones resumed.
            Those that others have trained are an error (``resume``), trained again (``replace``), or reused
            as well (``reuse``).
        on_event: called with every event of ``runs.events``.
        **changes: settings that replace the recipe's own.

    Raises:
        UserError: for any invalid argument, and if no seed succeeds.
    """
    check_settings(changes)
    trainings = [training_of("recipe", recipe).with_changes(**changes)]
    if versus is not None:
        trainings.append(training_of("versus", versus))
    recipes = [each.recipe for each in trainings]
    check_compute_and_places(compute, places)
    choice("existing", existing, tuple(DIFFERING))
    seeds = check_seeds(seeds)
    check_names(recipes)
    if cluster is None:
        load(places.data, on_event=on_event)  # once, rather than in every process at the same time
    # Seed by seed, so that a bench that is stopped has pairs to compare.
    tasks = tasks_of(trainings, seeds, places, compute)
    outcome = train_all(tasks, differing=DIFFERING[existing], jobs=jobs, cluster=cluster, on_event=on_event)
    written: list[tuple[Bench, Path]] = []
    for each in recipes:
        folder = bench_path(places.benches, each.name, seeds)
        if made := collect(each, outcome, folder):
            made.write(folder)
            written.append((made, folder))
    check_finished(recipes, written, outcome)
    return BenchResult(*written[0], *(written[1] if len(recipes) > 1 else (None, None)))


def tasks_of(
    trainings: Sequence[OwnTraining], seeds: Sequence[int], places: Places, compute: Compute
) -> list[Task]:
    """Return a task for each seed of each training. Raises UserError for unknown initial weights."""
    for training in trainings:
        training.check(seeds)
    return [
        Task(each.recipe, seed, places, fitting(each.recipe, compute), start=each.start(seed))
        for seed in seeds
        for each in trainings
    ]


def check_names(recipes: Sequence[Recipe]) -> None:
    """Raise UserError if the runs of two recipes would share folders."""
    for one, other in combinations([recipe.name for recipe in recipes], 2):
        if folded(safe_name(one)) == folded(safe_name(other)):
            same = f"the recipes {one} and {other} would share run folders"
            if one == other:
                same = f"both recipes are called {one}"
            raise UserError(f"{same}; compare different recipes, or give the one in a file another name")


def check_finished(
    recipes: Sequence[Recipe], written: Sequence[tuple[Bench, Path]], outcome: Outcome
) -> None:
    """Raise UserError if one of the recipes has no finished seed, and so no written bench."""
    nothing = [each for each in recipes if all(each != made.recipe for made, _ in written)]
    if nothing:
        first = {failure.task.recipe: failure for failure in reversed(outcome.failures)}
        kept = f"; the other's bench is in {written[0][1]}" if written else ""
        raise UserError(
            "; ".join(f"{first[each]} (and no other seed is finished)" for each in nothing) + kept
        )


def collect(recipe: Recipe, outcome: Outcome, folder: Path) -> Bench | None:
    """Return the bench of a recipe's finished runs, to be saved in ``folder``; None if there are none."""
    runs = [run for run in outcome.runs.values() if run.recipe == recipe]
    failures = [failure for failure in outcome.failures if failure.task.recipe == recipe]
    if not runs:
        return None
    return Bench.of(
        runs,
        folder,
        failures=[*map(str, failures)],
        command=command(),
        date=datetime.now(UTC).date().isoformat(),
    )


def bench_path(benches_dir: Path, name: str, seeds: Sequence[int]) -> Path:
    """Return the folder of the bench of a recipe called ``name`` over ascending ``seeds``.

    It is named after them: ``minimal-seeds-0-9``, or ``minimal-seeds-1,4,7`` if they are not consecutive.
    """
    if seeds[-1] - seeds[0] == len(seeds) - 1:
        text = f"{seeds[0]}-{seeds[-1]}"
    else:
        text = safe_name(seeds_as_typed(seeds), MAX_SEEDS_TEXT)
    return benches_dir / f"{safe_name(name)}-seeds-{text}"
