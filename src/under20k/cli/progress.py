"""What a training shows on stderr: a live bar on a terminal, and a plain line an epoch everywhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from under20k.api import epochs_done
from under20k.benchmark import Task
from under20k.data.split import TRAIN_COUNT
from under20k.engine import choose
from under20k.engine.protocol import Engine
from under20k.metrics import EpochMetrics
from under20k.recipe import Recipe
from under20k.report.results import drops
from under20k.report.wording import plural
from under20k.run import Run
from under20k.statistics import percent


def start_text(run: Run) -> str:
    """What trains, and how: ``14,116 parameters, 8 epochs; torch engine, fp32, cpu, 2 threads``."""
    by = run.session
    threads = f", {plural(by['threads'], 'thread')}" if by["device"] == "cpu" else ""
    return (
        f"{run.recipe.architecture.parameters:,} parameters, {plural(run.recipe.epochs, 'epoch')}; "
        f"{by['engine']} engine, {by['precision']}, {by['device']}{threads}"
    )


def epoch_line(recipe: Recipe, metrics: EpochMetrics, previous: EpochMetrics | None) -> str:
    """An epoch's figures, the drop of the learning rate marked."""
    width = len(str(recipe.epochs))
    dropped = previous is not None and bool(drops(recipe, [previous, metrics]))
    return (
        f"epoch {metrics.epoch:>{width}}/{recipe.epochs}"
        f"  lr {metrics.learning_rate:<7.4g}{'↓' if dropped else ' '}"
        f"  train {percent(metrics.train_accuracy)}"
        f"  validation {percent(metrics.validation_accuracy)}"
        f"  {metrics.images_per_s:>9,.0f} images/s"
        f"  {metrics.total_time_s:>6.1f} s"
    )


def choice_text(engine: str, device: str) -> str:
    """Which engine an option comes to, and why. Raises UserError where it is not to be had."""
    choice = choose(engine, device)
    return f"{choice.engine} engine: {choice.reason}"


class Display(AbstractContextManager["Display"]):
    """Lines on stderr, with a bar over images below them where stderr is a terminal."""

    def __init__(self) -> None:
        self.bar: Any = None

    def start(self, epochs: int, done: int) -> None:
        """Show a bar over so many epochs, ``done`` of them over already."""
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                total=epochs * TRAIN_COUNT,
                initial=done * TRAIN_COUNT,
                unit=" images",
                unit_scale=True,
                leave=False,
                dynamic_ncols=True,
            )

    def move_to(self, images: int) -> None:
        """Set the bar to so many images in all."""
        if self.bar is not None:
            self.bar.update(images - self.bar.n)

    def line(self, text: str) -> None:
        """Print a line, above the bar."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()


class OneTraining:
    """Shows a single training, after a line on the ``choice`` of its engine if there is one."""

    def __init__(self, display: Display, choice: str = "") -> None:
        self.display = display
        self.choice = choice

    def on_start(self, run: Run, engine: Engine) -> None:
        """Say what trains, and how far it has come."""
        self.recipe, self.metrics = run.recipe, epochs_done(run)
        if self.choice:
            self.display.line(self.choice)
        done = f"; going on after epoch {len(self.metrics)}" if self.metrics else ""
        self.display.line(f"{run.recipe.name}, seed {run.seed}: {start_text(run)} → {run.path}{done}")
        self.display.start(run.recipe.epochs, len(self.metrics))

    def on_step(self, images_done: int) -> None:
        """Move the bar."""
        self.display.move_to(len(self.metrics) * TRAIN_COUNT + images_done)

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Print the epoch's line."""
        previous = self.metrics[-1] if self.metrics else None
        self.metrics.append(metrics)
        self.display.line(epoch_line(self.recipe, metrics, previous))


class ManyTrainings:
    """Shows trainings that run at the same time: each line begins with its run's name."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.epochs: dict[Task, int] = {}
        self.previous: dict[Task, EpochMetrics] = {}
        self.images: dict[Task, int] = {}

    def on_reuse(self, run: Run) -> None:
        """Say that a run is there already."""
        self.display.line(f"{run.path} is finished: reused")

    def on_begin(self, tasks: Sequence[Task], jobs: int) -> None:
        """Say how many are to be trained."""
        self.width = max(len(task.path.name) for task in tasks)
        self.display.line(choice_text(tasks[0].engine, tasks[0].device))
        self.display.line(f"{plural(len(tasks), 'training')}, {jobs} at a time")
        self.display.start(sum(task.recipe.epochs for task in tasks), 0)

    def on_start(self, task: Task, run: Run, metrics: Sequence[EpochMetrics]) -> None:
        """Say that a training begins, or goes on."""
        self._reached(task, len(metrics))
        done = f"; going on after epoch {len(metrics)}" if metrics else ""
        if metrics:
            self.previous[task] = metrics[-1]
        self._line(task, f"{start_text(run)}{done}")

    def on_step(self, task: Task, images_done: int) -> None:
        """Move the bar."""
        self.images[task] = self.epochs[task] * TRAIN_COUNT + images_done
        self.display.move_to(sum(self.images.values()))

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None:
        """Print the epoch's line."""
        self._reached(task, metrics.epoch)
        self._line(task, epoch_line(task.recipe, metrics, self.previous.get(task)))
        self.previous[task] = metrics

    def _line(self, task: Task, text: str) -> None:
        self.display.line(f"{task.path.name:<{self.width}}  {text}")

    def _reached(self, task: Task, epochs: int) -> None:
        self.epochs[task] = epochs
        self.on_step(task, 0)
