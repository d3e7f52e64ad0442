"""The assignment's recipes over seeds, as it trains them and trained better: one bench each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from under20k.data import load
from under20k.engine.base import Compute
from under20k.errors import UserError
from under20k.recipe.fields import choice
from under20k.recipe.named import MINIMAL, MINIMAL_PLUS, REGULARIZED, REGULARIZED_PLUS
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seeds, consecutive_from_0
from under20k.runs.bench.bench import Benches
from under20k.runs.bench.run_bench import DIFFERING, bench_path, check_names, collect, tasks_of
from under20k.runs.events import OnEvent, ignore
from under20k.runs.own_start import OwnTraining, training_of
from under20k.runs.parallel.scheduler import train_all
from under20k.runs.places import Places, check_compute_and_places

REPRODUCED = (REGULARIZED, MINIMAL, REGULARIZED_PLUS, MINIMAL_PLUS)
"""The assignment's two, and the same two architectures in the same epochs trained better."""
MAX_SEEDS = 1000


def reproduce(
    seeds: Sequence[int] = (0,),
    *,
    model: Recipe | str | OwnTraining | None = None,
    recipes: Sequence[Recipe] | None = None,
    compute: Compute = Compute(),
    places: Places = Places(),
    jobs: int | None = None,
    existing: Literal["resume", "replace", "reuse"] = "reuse",
    on_event: OnEvent = ignore,
) -> Benches:
    """Train recipes over seeds, all by one scheduler, and write a bench of each.

    Args:
        seeds: Consecutive from 0, such as ``range(10)``; at most ``MAX_SEEDS``.
        model: Another recipe, or the training of a user's own model, in front of the recipes.
        recipes: By default ``REPRODUCED``.
        compute: What to train on; ``threads`` are those of each training.
        places: Of the runs, the benches, and MNIST.
        jobs: Trainings in parallel; by default what is measured to be fastest.
        existing: Treatment of runs that another engine or other numerics trained, as in ``bench``.
        on_event: Called with every event of ``runs.events``.

    Returns:
        A bench per recipe, in their order; its ``bench.json`` is in ``places.benches``.

    Raises:
        UserError: A training failed, or an argument is wrong; finished runs are kept.
    """
    seeds = check_seeds(seeds, MAX_SEEDS)
    if not consecutive_from_0(seeds):
        raise UserError(f"seeds: {list(seeds)!r:.80}; expected consecutive ones from 0, such as range(10)")
    check_compute_and_places(compute, places)
    choice("existing", existing, tuple(DIFFERING))
    trainings = [training_of("recipes", each) for each in (REPRODUCED if recipes is None else recipes)]
    if model is not None:
        given = training_of("model", model)
        if given.recipe in (each.recipe for each in trainings):
            raise UserError(
                f"{given.recipe.name} is one of the recipes that are trained anyway; leave it out"
            )
        trainings.insert(0, given)
        check_names([each.recipe for each in trainings])
    load(places.data, on_event=on_event)  # once, rather than in every process at the same time
    # The longest trainings first, so that short ones remain at the end.
    by_length = sorted(trainings, key=lambda training: -training.recipe.epochs)
    tasks = [task for each in by_length for task in tasks_of([each], seeds, places, compute)]
    outcome = train_all(tasks, differing=DIFFERING[existing], jobs=jobs, on_event=on_event)
    outcome.raise_first()
    benches = Benches()
    for recipe in (each.recipe for each in trainings):
        folder = bench_path(places.benches, recipe.name, seeds)
        bench = collect(recipe, outcome, folder)
        assert bench is not None  # every seed is finished
        bench.write(folder)
        benches.append(bench)
    return benches
