"""Events of trainings: frozen, picklable values, passed to one callable.

A run is named by its folder. The events of a teacher carry the run that it teaches and the teacher's number,
counted from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from under20k.data.events import FetchEvent, ignore
from under20k.engine.base import Compute
from under20k.recipe.recipe import Recipe
from under20k.runs.metrics import EpochMetrics

__all__ = [
    "EpochDone",
    "Event",
    "Failed",
    "Finished",
    "Note",
    "OnEvent",
    "Scheduled",
    "Started",
    "Step",
    "ignore",
]


@dataclass(frozen=True)
class Scheduled:
    """Several runs are about to be trained, by folder."""

    runs: Mapping[Path, Recipe]
    compute: Compute
    where: str
    """``2 at a time``."""


@dataclass(frozen=True)
class Started:
    """A training begins, or resumes after the epochs in ``history``."""

    run: Path
    recipe: Recipe
    seed: int
    environment: Mapping[str, Any]
    """As in the run's ``environment.json``."""
    history: tuple[EpochMetrics, ...] = ()
    teacher: int = 0
    folder: Path | None = None
    """The teacher's own run."""


@dataclass(frozen=True)
class Step:
    """Some images of the current epoch are done."""

    run: Path
    images: int
    teacher: int = 0


@dataclass(frozen=True)
class EpochDone:
    """An epoch is done and on disk."""

    run: Path
    metrics: EpochMetrics
    teacher: int = 0


@dataclass(frozen=True)
class Finished:
    """A run is finished."""

    run: Path
    recipe: Recipe
    validation_accuracy: float
    """At the last epoch; a fraction."""
    time_s: float
    """Of the training, its teachers included."""
    reused: bool = False
    """Whether it had been finished before this command."""
    differing: str = ""
    """How the training of a reused run differed from one now: ``precision bf16, now fp32``."""
    teacher: int = 0


@dataclass(frozen=True)
class Failed:
    """A training has failed."""

    run: Path
    reason: str
    retry: bool = False
    """Whether it is retried."""


@dataclass(frozen=True)
class Note:
    """A line to show to the user."""

    text: str


Event = Scheduled | Started | Step | EpochDone | Finished | Failed | Note | FetchEvent
OnEvent = Callable[[Event], None]
