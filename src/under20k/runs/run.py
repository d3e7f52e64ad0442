"""The run folder: one training's recipe, environment, metrics and weights, readable by hand.

::

    runs/minimal-0/
      recipe.json             the recipe in full
      environment.json        seed, command, versions, processor, engine, threads
      metrics.jsonl           a line an epoch
      checkpoint.safetensors  what training goes on from; its metadata holds the metrics so far, and, as the
                              model's, a SHA-256 of all that the file says
      model.safetensors       the trained weights under PyTorch's names: written last, so its presence
                              means that the run is finished; its metadata says what the network takes
      test_readings.jsonl     a line for each time the test set was read
      curves.png, report.md   made from the files above
      teachers/               the runs of those that this one learns from, if any
      validation.json, …      what ``under20k evaluate`` writes: figures, confusions, misclassified images

Every file is replaced in one step. The checkpoint alone decides how far a run has come: a kill between
two files leaves nothing that disagrees, for what follows from the checkpoint is written again on resuming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from under20k.engine.base import INPUT, MEAN, STANDARD_DEVIATION
from under20k.errors import InvalidValue, UserError, in_words
from under20k.files import (
    check_room,
    is_present,
    read_json,
    read_text,
    reason,
    remove,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
)
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs import locks
from under20k.runs.metrics import EpochMetrics, json_object, metrics_lines, parse_metrics
from under20k.runs.names import safe_name
from under20k.runs.plausible import environment_faults, reading_faults
from under20k.runs.tensors import read_tensors, safetensors_bytes

FORMAT = 1
TEACHERS = "teachers"
FILES = (
    "recipe.json",
    "environment.json",
    "metrics.jsonl",
    "checkpoint.safetensors",
    "model.safetensors",
    "test_readings.jsonl",
    "curves.png",
    "report.md",
    # Of the model before, they must not outlive it.
    *(
        f"{split}{file}"
        for split in ("validation", "test")
        for file in (".json", "-confusion.png", "-misclassified.png")
    ),
)
INPUT_ENTRIES = {
    "input": f"(N, 1, 28, 28) float32, {INPUT} of pixels x from 0 (background) to 255",
    "input_mean": str(MEAN),  # of x/255
    "input_std": str(STANDARD_DEVIATION),
}
"""What a model's metadata say of the network's input."""


Existing = Literal["refuse", "resume", "replace"]
"""What to do with a run that is there already."""


class InUse(UserError):
    """Another process trains in a run folder."""


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    path: Path
    recipe: Recipe
    seed: int
    environment: dict[str, Any]

    @classmethod
    def create(
        cls, path: Path, recipe: Recipe, seed: int, environment: dict[str, Any], overwrite: bool = False
    ) -> Run:
        """A new, empty run. Raises UserError if ``path`` holds anything but teachers, unless ``overwrite``,
        which removes a run's files and nothing else.
        """
        check_seed(seed)
        if path.is_dir() and any(item.name not in (*locks.FILES, TEACHERS) for item in path.iterdir()):
            if not overwrite:
                raise UserError(f"{path} {describe(path)}; go on with --resume, start anew with --overwrite")
            # The model first: without it, what is left of the run no longer looks finished.
            for name in reversed(FILES):
                remove(path / name)
        environment = {"format": FORMAT, "seed": seed, **environment}
        write_text(path / "recipe.json", recipe.to_json())
        write_json(path / "environment.json", environment)
        return cls(path, recipe, seed, environment)

    @classmethod
    def open(cls, path: Path) -> Run:
        """The run in folder ``path``. Raises UserError where it is none, or damaged."""
        if not path.is_dir():
            raise UserError(f"there is no run folder {path}; train one with 'under20k train'")
        for name in ("recipe.json", "environment.json"):
            if not is_present(path / name):
                raise UserError(f"{path} is no run folder, or a damaged one: {name} is missing")
        environment = read_json(path / "environment.json")
        if not isinstance(environment, dict) or environment.get("format") != FORMAT:
            found = environment.get("format") if isinstance(environment, dict) else None
            raise UserError(
                f"{path} is a run folder of format {found!r}; this version of under20k reads {FORMAT}"
            )
        try:
            recipe = Recipe.from_json(read_text(path / "recipe.json"))
        except InvalidValue as error:
            raise UserError(f"{path / 'recipe.json'} does not hold a recipe: {error}") from error
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
    ) -> Iterator[Run]:
        """Give the block the run at ``path`` to train, locked against other processes.

        A run to ``resume`` gets a note of it in its environment. Raises UserError as ``create`` and ``open``
        do, where ``path`` holds another recipe or seed, and where another process trains it.
        """
        check_seed(seed)
        with lock(path):
            begun = existing == "resume" and any(
                is_present(path / f"{part}.safetensors") for part in ("checkpoint", "model")
            )
            if not begun:
                # Killed before its first epoch ended, a run has nothing to lose.
                empty = existing == "resume" and (path / "recipe.json").exists()
                yield cls.create(path, recipe, seed, environment, existing == "replace" or empty)
                return
            run = cls.open(path)
            if run.recipe != recipe or run.seed != seed:
                raise UserError(
                    f"{path} holds {run.recipe.name} with seed {run.seed}, not this recipe and seed; "
                    "start anew with --overwrite, or name another folder with --runs-dir"
                )
            if not run.finished:
                sessions = [*run.environment.get("resumed", ()), environment]
                run = replace(run, environment={**run.environment, "resumed": sessions})
                write_json(path / "environment.json", run.environment)
            yield run

    def with_teachers(self, noted: Sequence[Mapping[str, Any]]) -> Run:
        """This run, the environment of its last session noting who taught it (``teachers.note``)."""
        environment = {**self.environment}
        if resumed := environment.get("resumed"):
            environment["resumed"] = [*resumed[:-1], {**resumed[-1], TEACHERS: noted}]
        else:
            environment[TEACHERS] = noted
        write_json(self.path / "environment.json", environment)
        return replace(self, environment=environment)

    @property
    def finished(self) -> bool:
        """Whether training has ended and the model is there. Raises UserError where something else is."""
        return is_present(self.path / "model.safetensors")

    @property
    def session(self) -> dict[str, Any]:
        """The environment of whoever trains it, or did last: the first one's, unless it was resumed."""
        return self.sessions[-1]

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The environments of all who trained it, in turn."""
        return [self.environment, *self.environment.get("resumed", [])]

    def metrics(self) -> list[EpochMetrics]:
        """The epochs so far, all of them where the run is finished.

        Raises UserError where the file is damaged, lacks epochs or differs from the checkpoint.
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
                mend = "restore it, or train again with --overwrite" if self.finished else "--resume mends it"
                raise UserError(f"{path} is damaged: checkpoint.safetensors says otherwise; {mend}")
        return metrics

    def weights(self) -> Tensors:
        """The trained weights. Raises UserError where they are missing, damaged or do not fit."""
        path = self.path / "model.safetensors"
        if not is_present(path):
            done = len(self.metrics())
            raise UserError(
                f"{self.path} holds no trained model ({done} of {self.recipe.epochs} epochs done); "
                "finish it with 'under20k train … --resume'"
            )
        tensors, metadata = read_tensors(path, ("recipe", "seed", *INPUT_ENTRIES))
        if metadata:
            self._check_owner(metadata, path)
        try:
            check_weights(self.recipe.architecture, tensors)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return tensors

    def checkpoint(self) -> tuple[Tensors, list[EpochMetrics]] | None:
        """The state to go on from and the epochs that led to it; None where no epoch has ended yet.

        Raises UserError where it is damaged or belongs to another recipe or seed.
        """
        path = self.path / "checkpoint.safetensors"
        if not is_present(path):
            return None
        tensors, metadata = read_tensors(path, ("recipe", "seed", "metrics"))
        self._check_owner(metadata, path)
        metrics = parse_metrics(metadata.get("metrics", "").splitlines(), path, self.recipe)
        if not metrics:
            raise UserError(f"{path} is damaged: it holds no epoch; start anew with --overwrite")
        return tensors, metrics

    def save_epoch(self, state: Tensors, metrics: list[EpochMetrics]) -> None:
        """Keep what an epoch has led to."""
        lines = metrics_lines(metrics)
        metadata = {**self._marks(), "metrics": lines}
        write_bytes(self.path / "checkpoint.safetensors", safetensors_bytes(state, metadata))
        write_text(self.path / "metrics.jsonl", lines)

    def save_model(self, weights: Tensors, metrics: list[EpochMetrics]) -> None:
        """Keep the trained weights, which finishes the run."""
        write_text(self.path / "metrics.jsonl", metrics_lines(metrics))
        metadata = {**self._marks(), **INPUT_ENTRIES}
        write_bytes(self.path / "model.safetensors", safetensors_bytes(weights, metadata))

    def _marks(self) -> dict[str, str]:
        """What the metadata of model and checkpoint say of the run."""
        return {"recipe": self.recipe.to_json(), "seed": str(self.seed)}

    def _check_owner(self, metadata: Mapping[str, str], path: Path) -> None:
        """Raise UserError where the metadata are of another recipe or seed than the run."""
        try:
            recipe = Recipe.from_json(metadata.get("recipe", ""))
        except InvalidValue:
            recipe = None
        if recipe != self.recipe or metadata.get("seed") != str(self.seed):
            raise UserError(f"{path} belongs to another recipe or seed; start anew with --overwrite")

    def add_test_reading(self, reading: dict[str, Any]) -> None:
        """Record that the test set was read, and what it said. Raises UserError as ``test_readings`` does."""
        self.test_readings()  # nothing is added to a damaged file, which would pass for a whole one
        path = self.path / "test_readings.jsonl"
        before = read_text(path) if is_present(path) else ""
        write_text(path, before + json.dumps(reading, allow_nan=False) + "\n")

    def test_readings(self) -> list[dict[str, Any]]:
        """Every reading of the test set, the earliest first. Raises UserError where the file is damaged."""
        path = self.path / "test_readings.jsonl"
        if not is_present(path):
            return []
        try:
            readings = [json_object(line) for line in read_text(path).splitlines()]
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path} is damaged: {in_words(error)}") from error
        if not readings:
            raise UserError(f"{path} is damaged: it is empty")
        for reading in readings:
            for fault in reading_faults(reading):
                raise UserError(f"{path} is damaged: {fault}")
        return readings


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep other processes from training in folder ``path``, which is made where it is missing.

    What a kill left half-written is removed. Raises InUse where another process holds it.
    """
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; name a folder for the run with --runs-dir or --name")
        path.mkdir(parents=True, exist_ok=True)
        held = ExitStack()
        held.enter_context(locks.exclusive(path))
    except locks.Held as error:
        # What ends by itself can be waited for; a file that someone has to remove cannot.
        kind = InUse if error.advice == locks.WAIT else UserError
        raise kind(f"{error} in {path}; {error.advice}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error, path)}") from error
    with held:
        remove_leftovers(path, FILES)
        check_room(path / max(FILES, key=len))
        yield


def run_path(runs_dir: Path, name: str, seed: int) -> Path:
    """Where the run of a recipe called ``name`` lies."""
    return runs_dir / f"{safe_name(name)}-{seed}"


def describe(path: Path) -> str:
    """What a folder holds, to end a sentence that begins with its name."""
    try:
        run = Run.open(path)
        finished, done = run.finished, len(run.metrics())
    except UserError:
        return "holds files that are no run of this version, or a damaged one"
    if finished:
        return "holds a finished run"
    return f"holds an unfinished run ({done} of {run.recipe.epochs} epochs)"
