"""The teachers of a run, trained before it as runs in its own folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from under20k.errors import UserError
from under20k.recipe.recipe import Recipe
from under20k.runs.metrics import EpochMetrics
from under20k.runs.plausible import TEACHER, is_figure
from under20k.runs.provenance import identity
from under20k.runs.run import TEACHERS, Run, run_path

if TYPE_CHECKING:
    from pathlib import Path


def is_fit(folder: Path, recipe: Recipe, seed: int, taught: Run) -> bool:
    """Return whether the folder has a run of recipe and seed with the identity of the student's run."""
    try:
        run = Run.open(run_path(folder, recipe.name, seed))
    except UserError:  # there is none, or a damaged one
        return False
    return (run.recipe, run.seed) == (recipe, seed) and identity(run.session) == identity(taught.session)


def remove_teachers(run_folder: Path) -> None:
    """Remove the teachers of the run in a folder, if any. Raises UserError if that fails."""
    try:
        shutil.rmtree(run_folder / TEACHERS)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserError(f"{run_folder / TEACHERS} cannot be removed: {error.strerror or error}") from error


def note(teachers: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the record of teachers for a run's environment."""
    return [
        {
            "recipe": teacher.recipe.name,
            "seed": teacher.seed,
            "validation_accuracy": teacher.metrics()[-1].validation_accuracy,
            "time_s": training_time_s(teacher.metrics(), teacher.session),
        }
        for teacher in teachers
    ]


def noted(environment: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the entry that ``note`` made in an environment; nothing if it names no teachers.

    Raises UserError if the entry is damaged.
    """
    teachers = environment.get(TEACHERS, [])
    whole = isinstance(teachers, list) and all(
        isinstance(teacher, dict)
        and teacher.keys() == TEACHER
        and is_figure(teacher["validation_accuracy"])
        and is_figure(teacher["time_s"])
        for teacher in teachers
    )
    if not whole:
        raise UserError(f"the environment's teachers are damaged: {teachers!r:.80}; train it again")
    return list(teachers)


def training_time_s(epochs: Iterable[EpochMetrics], environment: Mapping[str, Any]) -> float:
    """Return the seconds that a training took, including evaluation and teachers."""
    own = sum(epoch.total_time_s for epoch in epochs)
    return own + float(sum(teacher["time_s"] for teacher in noted(environment)))
