"""Show trainings and downloads on stderr: a live bar on a terminal, and plain lines everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from under20k.data.events import Downloaded, FetchEvent, FetchWarning, SourceDone, SourceTried
from under20k.engine.base import Compute
from under20k.engine.machine import size_text
from under20k.engine.select import choose
from under20k.formatting import columns, percent, shortened
from under20k.interactive.screen import Screen
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.report.text_lines import padded
from under20k.report.words import plural
from under20k.runs.bench.statistics import Sample
from under20k.runs.events import EpochDone, Event, Failed, Finished, Note, Scheduled, Started, Step
from under20k.runs.metrics import EpochMetrics, learning_rate_drops
from under20k.runs.provenance import sources_text

MEAN_COLUMNS = len("mean 99.123 ± 0.123 %")
_HASH = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{30}\b")
NAME_OF_WIDTH = 3
"""A name at the start of a line takes at most one part in this many of the terminal."""


class Display(AbstractContextManager["Display"]):
    """Prints events; call it with each one.

    It shows one ``training``, with a line for each epoch; many ``trainings`` at once, where each line begins
    with the run's name; or the ``seeds`` of a bench, with a line for each and the mean so far.
    """

    def __init__(
        self, shows: Literal["training", "trainings", "seeds"] = "training", *, choice: str = ""
    ) -> None:
        self.screen = Screen()
        self.shows = shows
        self.choice = choice
        """The chosen engine, a line printed before the first training."""
        self.recipes: dict[Path, Recipe] = {}
        """Recipes of the scheduled runs, or of the one that trains."""
        self.previous: dict[Path, EpochMetrics] = {}
        """The last epoch of each run."""
        self.images: dict[Path, int] = {}
        """Number of images that each run has trained on."""
        self.accuracies: dict[str, list[float]] = {}
        """Validation accuracies of the finished runs, by recipe."""
        self.total: dict[str, int] = {}
        """Number of runs, finished or scheduled, by recipe."""
        self.reused = 0
        self.download = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.__exit__(kind, error, trace)
        if kind is None and self.shows == "seeds" and not self.recipes:  # nothing was left to train
            self._say_reused()

    def line(self, text: str) -> None:
        """Print a line, above the bar."""
        self.screen.line(text)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Scheduled():
                self._scheduled(event)
            case Started():
                self._started(event)
            case Step(run=run, images=images, teacher=teacher):
                if self.shows == "training" or not teacher:
                    self._move(run, images)
            case EpochDone():
                self._epoch_done(event)
            case Finished():
                self._finished(event)
            case Failed(run=run, reason=reason, retry=retry):
                self._line(run, f"{reason}; retrying" if retry else f"failed: {reason}")
            case Note(text=text):
                self.line(text)
            case _:
                self._fetch(event)

    def _scheduled(self, event: Scheduled) -> None:
        if self.shows == "seeds":
            self._say_reused()
            sources = sources_text()
            self.line(sources if self.screen.width is None else _HASH.sub(r"\1", sources))
        self.recipes = dict(event.runs)
        self.previous, self.images = {}, {}
        self.line(choice_text(event.compute))
        self.line(f"{plural(len(event.runs), 'training')}, {event.where}")
        self._start_bar(sum(recipe.epochs for recipe in event.runs.values()))
        self.total = {name: len(values) for name, values in self.accuracies.items()}
        for recipe in event.runs.values():
            self.total[recipe.name] = self.total.get(recipe.name, 0) + 1
        if self.shows == "seeds":
            for recipe in {recipe.name: recipe for recipe in event.runs.values()}.values():
                parameters = f"{recipe.architecture.parameters:,} parameters"
                self.line(f"{self._short(recipe.name)}: {parameters}, {plural(recipe.epochs, 'epoch')}")

    def _say_reused(self) -> None:
        if self.reused:
            self.line(f"{plural(self.reused, 'run')} already finished, reused")

    def _started(self, event: Started) -> None:
        what = [start_text(event.recipe, sessions(event.environment)[-1])]
        resumed = [f"resuming after epoch {len(event.history)}"] if event.history else []
        if self.shows == "training":
            folder = event.folder or event.run
            for line in filter(None, (self.choice, fewer_threads(folder, event.environment))):
                self.line(line)
            self.choice = ""
            self.recipes[event.run] = event.recipe
            name = self._short(event.recipe.name)
            self.line("; ".join([f"{name}, seed {event.seed}: {what[0]} → {folder}", *resumed]))
            self._start_bar(event.recipe.epochs, len(event.history))
        elif event.teacher:
            return
        elif text := "; ".join([*(what if self.shows == "trainings" else ()), *resumed]):
            self._line(event.run, text)
        self.previous.pop(event.run, None)
        if event.history:
            self.previous[event.run] = event.history[-1]
        self._move(event.run, 0)

    def _epoch_done(self, event: EpochDone) -> None:
        if event.teacher and self.shows != "training":
            return
        if self.shows != "seeds":
            recipe, previous = self.recipes[event.run], self.previous.get(event.run)
            self._line(event.run, *epoch_lines(recipe, event.metrics, previous))
        self.previous[event.run] = event.metrics
        self._move(event.run, 0)

    def _finished(self, event: Finished) -> None:
        if self.shows == "training":
            if event.reused and not event.teacher:
                otherwise = f"; it was trained differently ({event.differing}); --overwrite retrains it"
                self.line(f"{event.run} already finished, reused{otherwise if event.differing else ''}")
            return
        if event.teacher:
            self._teacher_finished(event)
            return
        accuracies = self.accuracies.setdefault(event.recipe.name, [])
        accuracies.append(event.validation_accuracy)
        if event.reused:
            self.reused += 1
            if self.shows == "trainings":
                otherwise = f", but trained differently ({event.differing}); move it away to retrain it"
                self.line(f"{event.run} is finished: reused{otherwise if event.differing else ''}")
            return
        self.images[event.run] = event.recipe.epochs * TRAIN_IMAGES
        self.screen.move_bar(sum(self.images.values()))
        if self.shows == "seeds":
            accuracy, count = f"{percent(event.validation_accuracy):>6}", len(accuracies)
            total = self.total[event.recipe.name]
            mean = f"mean {Sample.of(accuracies)}" if count > 1 else ""
            mean = f"  {mean:<{MEAN_COLUMNS}}"  # the first line leaves room, so that the next ones look alike
            self._line(
                event.run,
                f"validation {accuracy}  {event.time_s:>6.1f} s  {count} of {total}{mean}",
                f"val {accuracy}  {count} of {total}{mean}",
                f"{accuracy}  {count}/{total}{mean}",
            )

    def _teacher_finished(self, event: Finished) -> None:
        distillation = self.recipes[event.run].distillation
        if distillation and not event.reused:
            accuracy, epochs = percent(event.validation_accuracy), plural(event.recipe.epochs, "epoch")
            text = f"teacher {event.teacher} of {distillation.teachers}: validation {accuracy} after {epochs}"
            self._line(event.run, text)

    def _fetch(self, event: FetchEvent) -> None:
        match event:
            case SourceTried(source=source):
                self.screen.begin_line(f"MNIST from {source}")
            case Downloaded(file=file, done_bytes=done, total_bytes=total):
                if file != self.download:
                    self.screen.start_bar(total, unit="B", name=file)
                    self.download = file
                self.screen.move_bar(done)
            case SourceDone(outcome=outcome):
                if self.download:
                    self.screen.end_bar()
                    self.download = ""
                self.screen.end_line(outcome)
            case FetchWarning(text=text):
                self.line(f"warning: {text}")

    def _line(self, run: Path, *forms: str) -> None:
        """Print a line about a run, with its name if there are many: the first of ``forms`` that fits."""
        width, name = self.screen.width, ""
        if self.shows != "training":
            longest = max(columns(path.name) for path in self.recipes)
            if width is not None:
                longest = min(longest, width // NAME_OF_WIDTH)
            name = padded(shortened(run.name, longest), longest, "l") + "  "
        fitting = (form for form in forms if width is None or columns(name + form) <= width)
        self.line((name + next(fitting, forms[-1])).rstrip())

    def _short(self, name: str) -> str:
        """Return a recipe's name, on a terminal without the middle of a long one."""
        width = self.screen.width
        return shortened(name, None if width is None else width // 2)

    def _start_bar(self, epochs: int, done: int = 0) -> None:
        self.screen.start_bar(epochs * TRAIN_IMAGES, done * TRAIN_IMAGES, unit=" images")

    def _move(self, run: Path, images: int) -> None:
        """Move the bar to an image of a run's epoch."""
        done = self.previous[run].epoch if run in self.previous else 0
        self.images[run] = done * TRAIN_IMAGES + images
        self.screen.move_bar(sum(self.images.values()))


def choice_text(compute: Compute = Compute()) -> str:
    """Return the engine that ``compute`` selects, and why. Raises UserError if this machine lacks it."""
    choice = choose(compute)
    return f"{choice.engine} engine: {choice.reason}"


def start_text(recipe: Recipe, session: Mapping[str, Any]) -> str:
    """Describe a training: ``14,116 parameters, 8 epochs; native engine, fp32 with avx2, cpu, 2 threads``.

    If the process may not use the whole machine, its limits follow in brackets.
    """
    instruction_set = f" with {session['instruction_set']}" if session.get("instruction_set") else ""
    threads = f", {plural(session['threads'], 'thread')}" if session["device"] == "cpu" else ""
    limits = []
    if session.get("cores_limit"):
        limits.append(f"{session['available_cores']} of {session['cores']} cores: {session['cores_limit']}")
    if session.get("memory_limit"):
        limits.append(f"{size_text(session['memory_bytes'])} of memory: {session['memory_limit']}")
    return (
        f"{recipe.architecture.parameters:,} parameters, {plural(recipe.epochs, 'epoch')}; "
        f"{session['engine']} engine, {session['precision']}{instruction_set}, {session['device']}{threads}"
        + (f" ({'; '.join(limits)})" if limits else "")
    )


def sessions(environment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a run's sessions, as ``Run.sessions``."""
    return [environment, *environment.get("resumed", ())]


def fewer_threads(run: Path, environment: Mapping[str, Any]) -> str:
    """Return a note if a run is resumed on fewer threads than before, else an empty text."""
    threads = [session.get("threads") for session in sessions(environment)[-2:]]
    before, now = threads[0], threads[-1]
    if not isinstance(before, int) or not isinstance(now, int) or now >= before:
        return ""
    same = ", with the same bits" if sessions(environment)[-1].get("engine") == "native" else ""
    return f"{run}: resuming with {plural(now, 'thread')} instead of {before}{same}"


def epoch_lines(recipe: Recipe, metrics: EpochMetrics, previous: EpochMetrics | None) -> tuple[str, ...]:
    """Return an epoch's figures, each text shorter than the last; ``↓`` marks a drop of the learning rate."""
    width = len(str(recipe.epochs))
    dropped = previous is not None and bool(learning_rate_drops(recipe, [previous, metrics]))
    epoch = f"epoch {metrics.epoch:>{width}}/{recipe.epochs}"
    rate = f"  lr {metrics.learning_rate:<7.4g}{'↓' if dropped else ' '}"
    train, validation = percent(metrics.train_accuracy), percent(metrics.validation_accuracy)
    speed, time = f"  {metrics.images_per_s:>9,.0f} images/s", f"  {metrics.total_time_s:>6.1f} s"
    return (
        f"{epoch}{rate}  train {train}  validation {validation}{speed}{time}",
        f"{epoch}{rate}  train {train}  validation {validation}{time}",
        f"{epoch}{rate}  train {train}  val {validation}{time}",
        f"{epoch}  train {train}  val {validation}{time}",
        f"{epoch}  train {train}  val {validation}",
        f"{epoch}  val {validation}",
    )
