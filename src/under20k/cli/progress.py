"""What a training shows on stderr: a live bar on a terminal, and a plain line an epoch everywhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from under20k.engine.base import Engine
from under20k.engine.machine import size_text
from under20k.engine.select import choose
from under20k.errors import shown
from under20k.formatting import percent
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.report.reproduction.results import drops
from under20k.report.words import plural
from under20k.runs.bench.statistics import Sample
from under20k.runs.distillation import training_time_s
from under20k.runs.metrics import EpochMetrics
from under20k.runs.parallel.scheduler import Failure, Task
from under20k.runs.provenance import sources_text
from under20k.runs.run import Run
from under20k.runs.train import epochs_done


def start_text(recipe: Recipe, by: Mapping[str, Any]) -> str:
    """What trains: ``14,116 parameters, 8 epochs; native engine, fp32 with avx2, cpu, 2 threads``.

    Where the process may not use the whole machine, what limits it stands behind it.
    """
    instruction_set = f" with {by['instruction_set']}" if by.get("instruction_set") else ""
    threads = f", {plural(by['threads'], 'thread')}" if by["device"] == "cpu" else ""
    limits = []
    if by.get("cores_limit"):
        limits.append(f"{by['available_cores']} of {by['cores']} cores: {by['cores_limit']}")
    if by.get("memory_limit"):
        limits.append(f"{size_text(by['memory_bytes'])} of memory: {by['memory_limit']}")
    return (
        f"{recipe.architecture.parameters:,} parameters, {plural(recipe.epochs, 'epoch')}; "
        f"{by['engine']} engine, {by['precision']}{instruction_set}, {by['device']}{threads}"
        + (f" ({'; '.join(limits)})" if limits else "")
    )


def fewer_threads(run: Run) -> str:
    """That a resumed run goes on with fewer threads than before, if it does."""
    if len(run.sessions) < 2:
        return ""
    before, now = (session.get("threads") for session in run.sessions[-2:])
    if not isinstance(before, int) or not isinstance(now, int) or now >= before:
        return ""
    same = ", to the same bits" if run.session.get("engine") == "native" else ""
    return f"{run.path}: goes on with {plural(now, 'thread')} instead of {before}{same}"


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


def choice_text(engine: str = "auto", device: str = "auto", precision: str = "auto") -> str:
    """Which engine the options come to, and why. Raises UserError where it is not to be had."""
    choice = choose(engine, device, precision)
    return f"{choice.engine} engine: {choice.reason}"


class Display(AbstractContextManager["Display"]):
    """Lines on stderr, with a bar over images below them where stderr is a terminal."""

    def __init__(self) -> None:
        self.bar: Any = None

    def start(self, epochs: int, done: int) -> None:
        """Show a bar over so many epochs, ``done`` of them over already, in place of any before it."""
        if self.bar is not None:
            self.bar.close()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                total=epochs * TRAIN_IMAGES,
                initial=done * TRAIN_IMAGES,
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
        text = shown(text)
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
        if fewer := fewer_threads(run):
            self.display.line(fewer)
        self.display.line(
            f"{run.recipe.name}, seed {run.seed}: {start_text(run.recipe, run.session)} → {run.path}{done}"
        )
        self.display.start(run.recipe.epochs, len(self.metrics))

    def teacher(self, number: int) -> OneTraining:
        """Show a teacher's training in the same way; only the first says what the engine is."""
        choice, self.choice = self.choice, ""
        return OneTraining(self.display, choice)

    def on_step(self, images_done: int) -> None:
        """Move the bar."""
        self.display.move_to(len(self.metrics) * TRAIN_IMAGES + images_done)

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

    def on_reuse(self, run: Run, differing: str) -> None:
        """Say that a run is there already, and what else had trained it if something had."""
        otherwise = f", but trained otherwise ({differing}); move it away to train it anew"
        self.display.line(f"{run.path} is finished: reused{otherwise if differing else ''}")

    def on_begin(self, tasks: Sequence[Task], where: str) -> None:
        """Say how many are to be trained."""
        self.width = max(len(task.label) for task in tasks)
        self.display.line(choice_text(tasks[0].engine, tasks[0].device, tasks[0].precision))
        self.display.line(f"{plural(len(tasks), 'training')}, {where}")
        self.display.start(sum(task.recipe.epochs for task in tasks), 0)

    def on_start(self, task: Task, session: Mapping[str, Any], metrics: Sequence[EpochMetrics]) -> None:
        """Say that a training begins, or goes on."""
        self._reached(task, len(metrics))
        done = f"; going on after epoch {len(metrics)}" if metrics else ""
        if metrics:
            self.previous[task] = metrics[-1]
        self._line(task, f"{start_text(task.recipe, session)}{done}")

    def on_teacher(self, task: Task, number: int, metrics: EpochMetrics) -> None:
        """Say how well it does."""
        assert task.recipe.distillation
        of = task.recipe.distillation.teachers
        accuracy = percent(metrics.validation_accuracy)
        self._line(
            task, f"teacher {number} of {of}: validation {accuracy} after {plural(metrics.epoch, 'epoch')}"
        )

    def on_step(self, task: Task, images_done: int) -> None:
        """Move the bar."""
        self.images[task] = self.epochs.get(task, 0) * TRAIN_IMAGES + images_done
        self.display.move_to(sum(self.images.values()))

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None:
        """Print the epoch's line."""
        self._reached(task, metrics.epoch)
        self._line(task, epoch_line(task.recipe, metrics, self.previous.get(task)))
        self.previous[task] = metrics

    def on_done(self, task: Task, run: Run) -> None:
        """Its last epoch has said it."""

    def on_retry(self, task: Task) -> None:
        """Say that its process died."""
        self._line(task, "its process was ended from outside; trying again")

    def on_failure(self, failure: Failure) -> None:
        """Say why a training is given up."""
        self._line(failure.task, f"given up: {failure.reason}")

    def on_news(self, text: str) -> None:
        """Say it."""
        self.display.line(text)

    def _line(self, task: Task, text: str) -> None:
        self.display.line(f"{task.label:<{self.width}}  {text}")

    def _reached(self, task: Task, epochs: int) -> None:
        self.epochs[task] = epochs
        self.on_step(task, 0)


class ManySeeds(ManyTrainings):
    """Shows a bench: a line a seed rather than an epoch, with the mean so far."""

    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self.last: dict[str, list[float]] = {}
        self.total: dict[str, int] = {}
        self.reused = 0

    def on_reuse(self, run: Run, differing: str) -> None:
        """Count it: ``on_begin`` says how many there are."""
        self.reused += 1
        self._count(run)

    def on_begin(self, tasks: Sequence[Task], where: str) -> None:
        """Say how many are to be trained, and how many are there."""
        if self.reused:
            self.display.line(f"{plural(self.reused, 'run')} finished before: reused")
        self.display.line(sources_text())
        self.total = {name: len(values) for name, values in self.last.items()}
        for task in tasks:
            self.total[task.recipe.name] = self.total.get(task.recipe.name, 0) + 1
        super().on_begin(tasks, where)
        for recipe in {task.recipe.name: task.recipe for task in tasks}.values():
            parameters = f"{recipe.architecture.parameters:,} parameters"
            self.display.line(f"{recipe.name}: {parameters}, {plural(recipe.epochs, 'epoch')}")

    def on_start(self, task: Task, session: Mapping[str, Any], metrics: Sequence[EpochMetrics]) -> None:
        """Note it; say so only where a training goes on."""
        self._reached(task, len(metrics))
        if metrics:
            self._line(task, f"going on after epoch {len(metrics)}")

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None:
        """Move the bar."""
        self._reached(task, metrics.epoch)

    def on_done(self, task: Task, run: Run) -> None:
        """Print the seed's line."""
        self._reached(task, task.recipe.epochs)
        metrics = run.metrics()
        self._count(run)
        values = self.last[task.recipe.name]
        so_far = f"mean {Sample.of(values)}" if len(values) > 1 else ""
        self._line(
            task,
            f"validation {percent(metrics[-1].validation_accuracy)}"
            f"  {training_time_s(metrics, run.session):>6.1f} s"
            f"  {len(values)} of {self.total[task.recipe.name]}  {so_far}".rstrip(),
        )

    def _count(self, run: Run) -> None:
        self.last.setdefault(run.recipe.name, []).append(run.metrics()[-1].validation_accuracy)
