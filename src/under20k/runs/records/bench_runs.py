"""The runs of a bench, read again from their folders for a record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from under20k.engine.base import NUMERICS
from under20k.errors import InvalidValue, UserError
from under20k.runs.bench.bench import Bench, SeedResult
from under20k.runs.provenance import committed_since, git_hash, identity, native_build
from under20k.runs.records.fields import check_environment
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.seed_entries import Reading
from under20k.runs.run import Run


def with_runs(bench: Bench, folder: Path) -> tuple[Bench, list[Run]]:
    """Return a bench with its seeds as their run folders have them, and the runs.

    Args:
        bench: names the run folders as seen from its own.
        folder: the bench folder.

    Raises:
        UserError: a run is gone, unfinished, or changed since the bench.
    """
    runs, seeds = [], []
    for seed in bench.seeds:
        run = Run.open(Path(os.path.normpath(folder / seed.run)))
        if run.recipe != bench.recipe or run.seed != seed.seed:
            raise UserError(f"{run.path} is no longer the run of this bench; bench again")
        current = _seed_of(run, folder)
        if not run.finished or current.epochs != seed.epochs:
            raise UserError(f"{run.path} has changed since the bench; bench again")
        runs.append(run)
        seeds.append(current)
    return replace(bench, seeds=tuple(seeds)), runs


def _seed_of(run: Run, folder: Path) -> SeedResult:
    """Return the seed of a run, its environment as a record has it."""
    seed = SeedResult.of(run, folder)
    if any(identity(session) != identity(run.session) for session in run.sessions):
        raise UserError(
            f"{run.path} was stopped and resumed with another engine or numerics; bench with --overwrite"
        )
    environment = committed(seed.environment)
    try:
        check_environment(environment)
    except UserError as error:
        raise UserError(f"{run.path / 'environment.json'}: {error}; train it again") from error
    if len(run.sessions) > 1:
        environment["resumed"] = True
    return replace(seed, environment=environment)


def committed(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environment; its commit is the current one if its sources were committed after training."""
    if not (committed_since(environment) and built_as_here(environment)):
        return dict(environment)
    return {name: value for name, value in environment.items() if name != "git_diff"} | {"git": git_hash()}


def built_as_here(environment: Mapping[str, Any]) -> bool:
    """Return whether a training here takes the same time: same numerics, same build of the engine."""
    return identity(environment)["numerics"] == NUMERICS and environment.get("native_build") in (
        None,
        native_build(),
    )


def readings_of(runs: Sequence[Run]) -> dict[int, tuple[Reading, ...]]:
    """Return the readings of the test set, by seed. Raises UserError if one is damaged."""
    found = {}
    for run in runs:
        try:
            found[run.seed] = tuple(
                Reading.from_dict({name: reading[name] for name in ("read", "correct", "images")})
                for reading in run.test_readings()
            )
        except InvalidValue as error:
            raise UserError(f"{run.path / 'test_readings.jsonl'} is damaged: {error}") from error
    return found


def weights_of(runs: Sequence[Run]) -> dict[int, str]:
    """Return the checksums of the trained weights, by seed."""
    return {run.seed: weights_sha256(run.weights()) for run in runs}
