"""One training among many, its performance in a worker, and the interface of an execution backend."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from under20k.engine.base import Compute
from under20k.errors import UserError
from under20k.recipe.recipe import Recipe
from under20k.runs.events import EpochDone, Event, Finished, OnEvent, Started, Step
from under20k.runs.own_start import OwnStart, OwnTraining
from under20k.runs.places import Places
from under20k.runs.run import Existing, Run, run_path
from under20k.runs.train import train

STEP_S = 0.2  # between the steps that a worker reports


@dataclass(frozen=True)
class Task:
    """One training to be done, in the run folder that it fills."""

    recipe: Recipe
    seed: int
    places: Places = Places()
    compute: Compute = Compute()
    existing: Existing = "resume"
    start: OwnStart | None = field(default=None, repr=False, compare=False)
    """Of a user's own model."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return run_path(self.places.runs, self.recipe.name, self.seed)

    @property
    def label(self) -> str:
        """``minimal-0``."""
        return self.path.name


class Backend(Protocol):
    """An execution backend: processes of this machine, or the workers of a cluster."""

    @property
    def where(self) -> str:
        """In words: ``2 at a time``."""

    @property
    def retryable(self) -> tuple[type[BaseException], ...]:
        """The exception that ``collect`` raises if a worker died."""

    def submit(self, task: Task) -> Future[Any]:
        """Train a task when a worker is free."""

    def events(self) -> Sequence[Event]:
        """Return what has happened since the last call. Raises BackendLost where nothing more can come."""

    def collect(self, task: Task, future: Future[Any]) -> Run:
        """Return the run that a future has led to, in the task's folder. Raises what the training raised."""


class BackendLost(UserError):
    """The backend is gone, and no training can continue."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; finished runs are kept; run the command again to continue")


def perform(task: Task, on_event: OnEvent, command_line: str | None = None) -> None:
    """Train a task in a worker.

    Args:
        task: the training.
        on_event: called with its events, steps a few times a second.
        command_line: to record; by default this process's own.
    """
    start = task.start
    train(
        OwnTraining(task.recipe, lambda seed: start) if start else task.recipe,
        task.seed,
        compute=task.compute,
        places=task.places,
        existing=task.existing,
        on_event=sparing(on_event),
        command_line=command_line,
    )


def sparing(on_event: OnEvent) -> OnEvent:
    """Return a callable that forwards a training's events, except for steps in quick succession.

    The end of a task itself is left to the scheduler, which has to collect the run first. What is wrong with
    the files of MNIST, the scheduler's process has said.
    """
    reported = 0.0

    def pass_on(event: Event) -> None:
        nonlocal reported
        if isinstance(event, Step):
            if monotonic() - reported < STEP_S:
                return
            reported = monotonic()
        if isinstance(event, Started | Step | EpochDone) or (isinstance(event, Finished) and event.teacher):
            on_event(event)

    return pass_on
