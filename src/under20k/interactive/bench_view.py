"""Many trainings in a notebook's cell: a bar over all of them, and a row a recipe with the mean so far."""

from __future__ import annotations

from pathlib import Path

from under20k.formatting import percent, title
from under20k.interactive.progress import choice_text
from under20k.interactive.view import Bar, Clock, View
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.report.tables import Table
from under20k.report.words import NOTHING, plural
from under20k.runs.bench.statistics import Sample
from under20k.runs.events import EpochDone, Event, Failed, Finished, Scheduled, Started, Step
from under20k.runs.metrics import EpochMetrics

LISTED = 4
"""Running trainings that are named, for each recipe."""


class BenchView:
    """A ``Viewed`` of ``bench`` and ``reproduce``."""

    def __init__(self) -> None:
        self.recipes: dict[Path, Recipe] = {}
        """Of every run, finished or not."""
        self.accuracies: dict[Path, float] = {}
        """Of the finished runs, on validation."""
        self.seeds: dict[Path, int] = {}
        """Of the runs that have started."""
        self.history: dict[Path, list[EpochMetrics]] = {}
        """Epochs of the runs that are training."""
        self.images: dict[Path, int] = {}
        """Of each running epoch."""
        self.failed: set[Path] = set()
        self.details = ""
        self.clock = Clock()

    def take(self, event: Event) -> bool:
        """Note an event; return whether it must be seen at once."""
        match event:
            case Scheduled():
                self.recipes |= event.runs
                self.details = f"{choice_text(event.compute)}; {event.where}"
                self.clock = Clock(self._done_images())
            case Started() if not event.teacher:
                known = len(self.history.get(event.run, ()))  # of an attempt that failed
                self.seeds[event.run] = event.seed
                self.history[event.run], self.images[event.run] = [*event.history], 0
                # What was trained before this call says nothing about its pace.
                self.clock.done += max(len(event.history) - known, 0) * TRAIN_IMAGES
            case Step() if not event.teacher:
                self.images[event.run] = event.images
                return False
            case EpochDone() if not event.teacher:
                self.history.setdefault(event.run, []).append(event.metrics)
                self.images[event.run] = 0
                return False
            case Finished() if not event.teacher:
                self.recipes.setdefault(event.run, event.recipe)
                self.accuracies[event.run] = event.validation_accuracy
                if event.reused:  # before the first one trains; there may be thousands
                    return False
            case Failed(run=run, retry=False):
                self.failed.add(run)
        return True

    def view(self) -> View | None:
        """Return a bar, and the mean so far."""
        if not self.recipes:
            return None
        total, images = self._total_images(), self._done_images()
        texts = (
            f"{len(self.accuracies)} of {plural(len(self.recipes), 'training')}",
            f"{100 * images / total:.0f}%",
            self.clock.left_text(images, total),
        )
        bar = Bar(images / total, " · ".join(filter(None, texts)))
        return View("Training", "", self.details, bar, self._table())

    def result(self, returned: object) -> View | None:
        """Return the means."""
        if not self.recipes:
            return None
        text = f"{len(self.accuracies)} of {plural(len(self.recipes), 'training')}"
        return View("Finished", text, self.details, None, self._table(now=False))

    def stopped(self) -> str:
        """Return after how many trainings."""
        if not self.recipes:
            return "before the first training"
        return f"after {len(self.accuracies)} of {plural(len(self.recipes), 'training')}"

    def _table(self, *, now: bool = True) -> Table:
        by_name: dict[str, list[Path]] = {}
        for run, recipe in self.recipes.items():
            by_name.setdefault(recipe.name, []).append(run)
        rows = []
        for name, runs in by_name.items():
            accuracies = [self.accuracies[run] for run in runs if run in self.accuracies]
            mean = str(Sample.of(accuracies)) if accuracies else NOTHING
            training = [run for run in runs if run in self.history and not self._over(run)]
            texts = [self._training_text(run) for run in training[:LISTED]]
            texts += [f"{len(training) - LISTED} more"] * (len(training) > LISTED)
            row = (title(name), f"{len(accuracies)} of {len(runs)}", mean)
            rows.append((*row, "; ".join(texts)) if now else row)
        header = ("Recipe", "Finished", "Validation, last epoch", "Training now")
        return Table(header[: 3 + now], tuple(rows), align="lrrl"[: 3 + now])

    def _training_text(self, run: Path) -> str:
        history = self.history[run]
        accuracy = f" ({percent(history[-1].validation_accuracy)})" if history else ""
        epoch = min(len(history) + 1, self.recipes[run].epochs)
        return f"seed {self.seeds.get(run, '?')}: epoch {epoch} of {self.recipes[run].epochs}{accuracy}"

    def _over(self, run: Path) -> bool:
        return run in self.accuracies or run in self.failed

    def _total_images(self) -> int:
        return sum(recipe.epochs for recipe in self.recipes.values()) * TRAIN_IMAGES

    def _done_images(self) -> int:
        """Return the images of all epochs so far, a run's that has failed counted as done."""
        return sum(
            recipe.epochs * TRAIN_IMAGES
            if self._over(run)
            else len(self.history.get(run, ())) * TRAIN_IMAGES + self.images.get(run, 0)
            for run, recipe in self.recipes.items()
        )
