"""The evaluated weights of a run after each epoch, in its folder ``snapshots/``: ``epoch-01.safetensors``, …

``train --snapshots`` keeps them; they decide nothing, and no other file of the run depends on them.
"""

from __future__ import annotations

import re
from pathlib import Path

from under20k.errors import UserError
from under20k.files import remove, remove_leftovers
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors
from under20k.runs.model_files import read_model, write_model

SNAPSHOTS = "snapshots"
_NAME = re.compile(r"epoch-(\d{2,})\.safetensors")


def has_snapshots(run: Path) -> bool:
    """Return whether snapshots of the run in folder ``run`` have been kept."""
    return (run / SNAPSHOTS).is_dir()


def save_snapshot(run: Path, recipe: Recipe, seed: int, epoch: int, weights: Tensors) -> None:
    """Write the weights after an epoch.

    Args:
        run: the run folder.
        recipe: of the run.
        seed: of the run.
        epoch: counted from 1.
        weights: those that were evaluated.

    Raises:
        UserError: the file cannot be written.
    """
    write_model(_path(run, epoch), recipe, seed, weights)


def read_snapshot(run: Path, recipe: Recipe, seed: int, epoch: int) -> Tensors:
    """Return the weights after an epoch. Raises UserError if the file is damaged or of another run.

    Args:
        run: the run folder.
        recipe: of the run.
        seed: of the run.
        epoch: counted from 1.

    Raises:
        UserError: the file is missing, damaged, or of another recipe or seed.
    """
    return read_model(_path(run, epoch), recipe, seed)


def snapshot_epochs(run: Path) -> list[int]:
    """Return the epochs with a snapshot, ascending; none where no snapshots were kept."""
    if not has_snapshots(run):
        return []
    found = (_NAME.fullmatch(path.name) for path in (run / SNAPSHOTS).iterdir())
    return sorted(int(name[1]) for name in found if name)


def remove_snapshots(run: Path) -> None:
    """Remove the snapshots of a run, and their folder unless it holds other files. Raises UserError."""
    for epoch in snapshot_epochs(run):
        remove(_path(run, epoch))
    remove_unfinished(run)
    folder = run / SNAPSHOTS
    if folder.is_dir() and not any(folder.iterdir()):
        try:
            folder.rmdir()
        except OSError as error:
            raise UserError(f"{folder} cannot be removed: {error.strerror or error}") from error


def remove_unfinished(run: Path) -> None:
    """Remove the temporary files that a kill left among the snapshots."""
    remove_leftovers(run / SNAPSHOTS, ["epoch.safetensors"])


def _path(run: Path, epoch: int) -> Path:
    return run / SNAPSHOTS / f"epoch-{epoch:02}.safetensors"
