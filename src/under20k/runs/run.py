"""The run folder: one training's recipe, environment, metrics and weights, readable by hand.

::

    runs/minimal-0/
      recipe.json             the recipe in full
      environment.json        seed, command, versions, processor, engine, threads
      metrics.jsonl           a line an epoch
      checkpoint.safetensors  the state that training resumes from; its metadata hold the metrics so far
      model.safetensors       the trained weights under PyTorch's names: written last, so that it exists if
                              and only if the run is finished
      test_readings.jsonl     a line for each time the test set was read
      curves.png, report.md   generated from the files above; curves-dark.png, for a dark page
      teachers/               the runs of the teachers, if there are any
      snapshots/              the weights after each epoch, if ``train --snapshots`` kept them
      model/                  of a model of the user's: its source, and its initial weights
      validation.json, …      what ``under20k evaluate`` writes: figures, confusions, misclassified images

Every file is replaced in one step. The checkpoint alone decides how far a run has come: after a kill between
two files, resuming writes again what follows from the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from under20k.drawing import Drawable
from under20k.errors import InvalidValue, UserError, shown
from under20k.files import (
    check_format,
    check_room,
    is_present,
    read_json,
    read_text,
    reason,
    remove,
    remove_leftovers,
    write_json,
    write_text,
)
from under20k.formatting import percent, title
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import Tensors
from under20k.runs import locks, model_files, own_start, readings
from under20k.runs.metrics import EpochMetrics, metrics_lines, parse_metrics
from under20k.runs.names import safe_name
from under20k.runs.own_start import OwnStart
from under20k.runs.plausible import environment_faults
from under20k.runs.snapshots import (
    read_snapshot,
    remove_snapshots,
    remove_unfinished,
    save_snapshot,
    snapshot_epochs,
)

FORMAT = 1
TEACHERS = "teachers"
REPORT = ("curves.png", "curves-dark.png", "report.md")
FILES = (
    "recipe.json",
    "environment.json",
    "metrics.jsonl",
    "checkpoint.safetensors",
    "model.safetensors",
    "test_readings.jsonl",
    *REPORT,
    # They describe the model and must not outlive it.
    *(
        f"{split}{file}"
        for split in ("validation", "test")
        for file in (".json", "-confusion.png", "-misclassified.png")
    ),
)

Existing = Literal["refuse", "resume", "replace"]
"""Treatment of a run that exists already."""
REPLACE = "replace it with --overwrite, or name another folder with --runs-dir or --name"


class InUse(UserError):
    """Another process trains in a run folder."""


@dataclass(frozen=True)
class Run(Drawable):
    """A run folder on disk."""

    path: Path
    recipe: Recipe
    seed: int
    environment: dict[str, Any]

    def __repr__(self) -> str:
        try:
            metrics = self.metrics()
        except UserError:  # damaged, or gone: the path says where to look
            state = ["not readable"]
        else:
            state = [f"{len(metrics)} of {self.recipe.epochs} epochs"]
            state += [f"validation {percent(epoch.validation_accuracy)}" for epoch in metrics[-1:]]
        name, folder = title(self.recipe.name), shown(str(self.path))
        return f"Run({', '.join([name, f'seed {self.seed}', *state, folder])})"

    @classmethod
    def create(
        cls,
        path: Path,
        recipe: Recipe,
        seed: int,
        environment: dict[str, Any],
        overwrite: bool = False,
        start: OwnStart | None = None,
    ) -> Run:
        """Return a new, empty run.

        Args:
            path: the folder; it may hold teachers.
            recipe: what will be trained.
            seed: of the training.
            environment: as ``describe_environment`` gives it.
            overwrite: remove the files of a run that exists, and nothing else.
            start: of a user's own model.

        Raises:
            UserError: the folder holds anything else, or cannot be written.
        """
        check_seed(seed)
        beside = (*locks.FILES, TEACHERS, own_start.FOLDER)
        if path.is_dir() and any(item.name not in beside for item in path.iterdir()):
            if not overwrite:
                raise UserError(f"{path} {describe(path)}")
            # The model first: without it, the remaining files no longer look like a finished run.
            for name in reversed(FILES):
                remove(path / name)
            remove_snapshots(path)
        own_start.remove(path)
        if start:
            start.write(path)
        environment = {"format": FORMAT, "seed": seed, **environment}
        write_text(path / "recipe.json", recipe.to_json())
        write_json(path / "environment.json", environment)
        return cls(path, recipe, seed, environment)

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Return the run in folder ``path``. Raises UserError if there is none, or it is damaged."""
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"there is no run folder {path}; train one with 'under20k train'")
        for name in ("recipe.json", "environment.json"):
            if not is_present(path / name):
                raise UserError(f"{path} is not a run folder, or a damaged one: {name} is missing")
        environment = read_json(path / "environment.json")
        environment = check_format(environment, (FORMAT,), f"{path} is a run folder")
        try:
            recipe = Recipe.from_json(read_text(path / "recipe.json"))
        except InvalidValue as error:
            raise UserError(f"{path / 'recipe.json'} is not a recipe: {error}") from error
        try:
            seed = check_seed(environment.get("seed"))
        except UserError as error:
            raise UserError(f"{path / 'environment.json'}: {error}") from error
        for fault in environment_faults(environment):
            raise UserError(f"{path / 'environment.json'} is damaged: {fault}; train again with --overwrite")
        return cls(path, recipe, seed, environment)

    @classmethod
    @contextmanager
    def prepared(
        cls,
        path: Path,
        recipe: Recipe,
        seed: int,
        environment: dict[str, Any],
        existing: Existing = "refuse",
        start: OwnStart | None = None,
    ) -> Iterator[Run]:
        """Give the block the run to train, locked against other processes.

        Args:
            path: the run folder.
            recipe: what to train.
            seed: of the training.
            environment: of this process; a resumed run notes it as one more session.
            existing: what to do if a run exists.
            start: of a user's own model.

        Raises:
            UserError: as ``create`` and ``open`` do; ``path`` holds another recipe or seed; or another
                process trains it.
        """
        check_seed(seed)
        with lock(path):
            begun = existing == "resume" and any(
                is_present(path / f"{part}.safetensors") for part in ("checkpoint", "model")
            )
            if not begun:
                empty = existing == "resume" and (path / "recipe.json").exists()
                if empty and (lost := _without_checkpoint(path)):
                    raise UserError(f"{path} has {lost}, but no checkpoint to resume from; {REPLACE}")
                yield cls.create(path, recipe, seed, environment, existing == "replace" or empty, start)
                return
            run = cls.open(path)
            run.check_same(recipe, seed, start)
            if not run.finished:
                sessions = [*run.environment.get("resumed", ()), environment]
                run = replace(run, environment={**run.environment, "resumed": sessions})
                write_json(path / "environment.json", run.environment)
            yield run

    def check_same(self, recipe: Recipe, seed: int, start: OwnStart | None = None) -> None:
        """Raise UserError unless this run is of the recipe and the seed, and began as a user's model does."""
        if self.recipe != recipe or self.seed != seed:
            raise UserError(
                f"{self.path} holds {self.recipe.name} with seed {self.seed}, not this recipe and seed "
                f"({self.differences(recipe, seed)}); {REPLACE}"
            )
        if start and not start.is_of(self.path):
            raise UserError(f"{self.path} began with other initial weights; {REPLACE}")

    def with_teachers(self, noted: Sequence[Mapping[str, Any]]) -> Run:
        """Return this run with a note of its teachers in the last session's environment, and save that."""
        environment = {**self.environment}
        if resumed := environment.get("resumed"):
            environment["resumed"] = [*resumed[:-1], {**resumed[-1], TEACHERS: noted}]
        else:
            environment[TEACHERS] = noted
        write_json(self.path / "environment.json", environment)
        return replace(self, environment=environment)

    def differences(self, recipe: Recipe, seed: int) -> str:
        """Return how this run's recipe and seed differ from others: ``learning_rate 0.1, now 0.2``."""
        mine, now = self.recipe.flat() | {"seed": self.seed}, recipe.flat() | {"seed": seed}
        if (ours := self.recipe.own) and (theirs := recipe.own) and ours != theirs:
            return ours.difference(theirs)
        parts = [
            f"{name} {mine.get(name, 'none')}, now {now.get(name, 'none')}"
            for name in dict.fromkeys([*mine, *now])
            if mine.get(name) != now.get(name)
        ]
        names = f"called {self.recipe.name}, now {recipe.name}"
        return "; ".join(parts) or ("other teachers" if self.recipe.name == recipe.name else names)

    @property
    def finished(self) -> bool:
        """Whether the trained model exists. Raises UserError if it is not a file."""
        return is_present(self.path / "model.safetensors")

    @property
    def session(self) -> dict[str, Any]:
        """The environment of the last process to train the run."""
        return self.sessions[-1]

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The environments of all processes that trained, the first one's first."""
        return [self.environment, *self.environment.get("resumed", [])]

    def metrics(self) -> list[EpochMetrics]:
        """Return the epochs so far; all of them if the run is finished.

        Raises UserError if the file is damaged, lacks epochs or contradicts the checkpoint.
        """
        path = self.path / "metrics.jsonl"
        metrics = parse_metrics(read_text(path).splitlines(), path, self.recipe) if is_present(path) else []
        if self.finished and len(metrics) != self.recipe.epochs:
            raise UserError(
                f"{path} is damaged: it lacks epochs of a finished run ({len(metrics)} of "
                f"{self.recipe.epochs}); train again with --overwrite"
            )
        if checkpoint := self.checkpoint():
            # A kill between the two files leaves the checkpoint an epoch ahead.
            expected = checkpoint[1] if self.finished else checkpoint[1][: len(metrics)]
            if metrics != expected:
                mend = "continuing the training mends it"
                if self.finished:
                    mend = "restore it, or train again with --overwrite"
                raise UserError(f"{path} is damaged: it contradicts checkpoint.safetensors; {mend}")
        return metrics

    def weights(self) -> Tensors:
        """Return the trained weights. Raises UserError if they are missing, damaged or do not fit."""
        path = self.path / "model.safetensors"
        if not is_present(path):
            done = len(self.metrics())
            raise UserError(
                f"{self.path} holds no trained model ({done} of {self.recipe.epochs} epochs done); "
                "finish it with 'under20k train …'"
            )
        return model_files.read_model(path, self.recipe, self.seed)

    def checkpoint(self) -> tuple[Tensors, list[EpochMetrics]] | None:
        """Return the state to resume from and the epochs that led to it; None before the first epoch's end.

        Raises UserError if it is damaged or belongs to another recipe or seed.
        """
        path = self.path / "checkpoint.safetensors"
        return model_files.read_checkpoint(path, self.recipe, self.seed) if is_present(path) else None

    def save_epoch(self, state: Tensors, metrics: list[EpochMetrics]) -> None:
        """Save the state after an epoch, and all epochs so far."""
        path = self.path / "checkpoint.safetensors"
        model_files.write_checkpoint(path, self.recipe, self.seed, state, metrics)
        write_text(self.path / "metrics.jsonl", metrics_lines(metrics))

    def save_snapshot(self, epoch: int, weights: Tensors) -> None:
        """Save the weights evaluated after an epoch, counted from 1."""
        save_snapshot(self.path, self.recipe, self.seed, epoch, weights)

    def snapshots(self) -> dict[int, Tensors]:
        """Return the weights after each epoch that has a snapshot, by epoch. Raises UserError if damaged."""
        done = len(self.metrics())  # a kill leaves the snapshot of an epoch that resuming trains again
        return {
            epoch: read_snapshot(self.path, self.recipe, self.seed, epoch)
            for epoch in snapshot_epochs(self.path)
            if 1 <= epoch <= done
        }

    def save_model(self, weights: Tensors, metrics: list[EpochMetrics]) -> None:
        """Save the trained weights, which finishes the run; reports of the unfinished one are removed."""
        # First: a kill between the files must not leave a finished run with them.
        for name in REPORT:
            remove(self.path / name)
        write_text(self.path / "metrics.jsonl", metrics_lines(metrics))
        if (model := self.recipe.own) and (start := own_start.read(self.path)):
            weights = own_start.saved(model, weights, start.initial, self.recipe.epochs * self.recipe.steps)
        model_files.write_model(self.path / "model.safetensors", self.recipe, self.seed, weights)

    def add_test_reading(self, reading: dict[str, Any]) -> None:
        """Record a reading of the test set. Raises UserError if the file of readings is damaged."""
        readings.add_test_reading(self.path / "test_readings.jsonl", reading)

    def test_readings(self) -> list[dict[str, Any]]:
        """Return all readings of the test set, the earliest first. Raises UserError if they are damaged."""
        return readings.read_test_readings(self.path / "test_readings.jsonl")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep other processes from training in folder ``path``, which is created if missing.

    Removes the temporary files that a kill left. Raises InUse if another process holds the lock.
    """
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; name a folder for the run with --runs-dir or --name")
        path.mkdir(parents=True, exist_ok=True)
        held = ExitStack()
        held.enter_context(locks.exclusive(path))
    except locks.Held as error:
        # Waiting helps only if no file has to be removed by hand.
        kind = InUse if error.advice == locks.WAIT else UserError
        raise kind(f"{error} in {path}; {error.advice}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error, path)}") from error
    with held:
        remove_leftovers(path, FILES)
        remove_unfinished(path)
        check_room(path / max(FILES, key=len))
        yield


def run_path(runs_dir: Path, name: str, seed: int) -> Path:
    """Return the run folder of a recipe called ``name``."""
    return runs_dir / f"{safe_name(name)}-{seed}"


def describe(path: Path) -> str:
    """Describe a folder's content, as the end of a sentence that begins with its name."""
    try:
        run = Run.open(path)
        finished, done = run.finished, len(run.metrics())
    except UserError:
        return f"contains files that are not a run of this version, or a damaged one; {REPLACE}"
    if finished:
        return 'contains a finished run; existing="resume" returns it, existing="replace" trains it again'
    return (
        f"contains an unfinished run ({done} of {run.recipe.epochs} epochs); "
        'existing="resume" continues it, existing="replace" trains it anew'
    )


def _without_checkpoint(path: Path) -> str:
    """Return a file of a run that would be lost if it began again; empty if no epoch was finished."""
    begun = ("recipe.json", "environment.json")
    return next((name for name in FILES if name not in begun and is_present(path / name)), "")
