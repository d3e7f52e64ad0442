"""A recipe over many seeds: training them, and what they say together.

A bench folder holds ``bench.json`` (the recipe, every seed's epochs and environment, the statistics),
``bench.png`` and ``bench.md``; the run folders stay where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from under20k.data import load
from under20k.data.sources import Notify
from under20k.engine.select import check_threads
from under20k.errors import UserError
from under20k.files import write_json
from under20k.recipe.named import named
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.runs.bench.bench import FILE, Bench, SeedResult
from under20k.runs.names import folded, safe_name
from under20k.runs.parallel.local import end_if_only_imported
from under20k.runs.parallel.scheduler import Failure, Task, Unwatched, Watcher, train_all
from under20k.runs.provenance import command
from under20k.runs.run import Run

MAX_SEEDS = 100_000


@dataclass(frozen=True)
class BenchResult:
    """What ``bench`` gives."""

    bench: Bench
    folder: Path
    other: Bench | None = None
    """What it was compared with, by ``versus``."""
    other_folder: Path | None = None


def bench(
    recipe: Recipe | str,
    seeds: Sequence[int] = range(30),
    *,
    versus: Recipe | str | None = None,
    runs_dir: Path | str = "runs",
    benches_dir: Path | str = "benches",
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    jobs: int | None = None,
    cluster: str | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
    notify: Notify | None = None,
    watcher: Watcher | None = None,
    **changes: Any,
) -> BenchResult:
    """Train ``recipe``, ``changes`` replacing settings, once for each of ``seeds``, and report them together.

    With ``versus``, another recipe is trained on the same seeds. Runs in ``runs_dir`` that the same engine
    and code have finished are reused, unfinished ones go on; what others have trained is an error, unless
    ``overwrite``. ``jobs`` trainings at a time, each on ``threads`` threads of this machine, or the workers
    of the Dask ``cluster`` at that address. A seed whose training fails, which for a process that dies is at
    the second time, is left out and named in ``Bench.failures``. In a script, call it under
    ``if __name__ == "__main__":``, for its processes import the script. Raises UserError for whatever is
    wrong, and where no seed is left.
    """
    end_if_only_imported()
    recipe = (named(recipe) if isinstance(recipe, str) else recipe).with_changes(**changes)
    other = named(versus) if isinstance(versus, str) else versus
    check_seeds(seeds)
    check_threads(threads)
    recipes = [recipe] if other is None else [recipe, other]
    if other is not None and folded(safe_name(recipe.name)) == folded(safe_name(other.name)):
        same = f"both recipes are called {recipe.name}"
        if recipe.name != other.name:
            same = f"the recipes {recipe.name} and {other.name} would share run folders"
        raise UserError(f"{same}; compare two, or give the one in a file another name")
    if cluster is None:
        load(data_dir, notify=notify)  # once, rather than in every process at the same time
    # Seed by seed, so that a bench that is stopped has pairs to compare.
    tasks = [
        Task(each, seed, Path(runs_dir), engine, device, threads, data_dir, overwrite, precision)
        for seed in seeds
        for each in recipes
    ]
    outcome = train_all(tasks, watcher or Unwatched(), jobs=jobs, cluster=cluster, same_code=True)

    from under20k.report.bench import write_bench_report  # Matplotlib takes a while to load

    benches: list[Bench] = []
    folders: list[Path] = []
    nothing: list[str] = []  # of a recipe without a single finished seed
    for each in recipes:
        folder = bench_path(Path(benches_dir), each.name, seeds)
        runs = [
            outcome.runs[task.path] for task in tasks if task.recipe == each and task.path in outcome.runs
        ]
        failures = [failure for failure in outcome.failures if failure.task.recipe == each]
        if not runs:
            nothing.append(f"{failures[0]} (and no other seed is finished)")
            continue
        made = _collected(each, runs, failures, folder)
        write_json(folder / FILE, made.to_dict())
        write_bench_report(made, folder)
        benches.append(made)
        folders.append(folder)
    if nothing:
        kept = f"; the other's bench is in {folders[0]}" if folders else ""
        raise UserError("; ".join(nothing) + kept)
    if other is None:
        return BenchResult(benches[0], folders[0])
    return BenchResult(benches[0], folders[0], benches[1], folders[1])


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise UserError unless they are consecutive whole numbers, at least one."""
    if not seeds:
        raise UserError("no seed to train; give a range such as 0-29")
    if len(seeds) > MAX_SEEDS:
        raise UserError(f"{len(seeds)} seeds; at most {MAX_SEEDS} are trained at once")
    check_seed(seeds[0])
    check_seed(seeds[-1])
    if list(seeds) != list(range(seeds[0], seeds[-1] + 1)):
        raise UserError(f"seeds: {list(seeds)}; allowed are consecutive ones, so that none can be picked")


def bench_path(benches_dir: Path, name: str, seeds: Sequence[int]) -> Path:
    """Where the bench of a recipe called ``name`` lies."""
    return benches_dir / f"{safe_name(name)}-seeds-{seeds[0]}-{seeds[-1]}"


def _collected(recipe: Recipe, runs: Sequence[Run], failures: Sequence[Failure], folder: Path) -> Bench:
    return Bench(
        recipe,
        tuple(SeedResult.of(run, folder) for run in runs),
        tuple(map(str, failures)),
        command(),
        datetime.now(UTC).date().isoformat(),
    )
