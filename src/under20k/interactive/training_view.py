"""One training in a notebook's cell: a bar, and a row for each of the last epochs."""

from __future__ import annotations

from pathlib import Path

from under20k.errors import shown
from under20k.formatting import percent, title
from under20k.interactive.progress import sessions, start_text
from under20k.interactive.view import Bar, Clock, View
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.recipe import Recipe
from under20k.report.tables import Table
from under20k.report.words import TARGET, plural, signed
from under20k.runs.bench.statistics import reaches_target
from under20k.runs.events import EpochDone, Event, Finished, Started, Step
from under20k.runs.metrics import EpochMetrics

ROWS = 12
"""Epochs in the table while a training runs; the last ones."""


class TrainingView:
    """A ``Viewed`` of ``train``; while its teachers train, of the teacher."""

    def __init__(self) -> None:
        self.run: Path | None = None
        self.recipe: Recipe | None = None
        self.seed = 0
        self.details = ""
        self.teacher = 0
        self.images = 0
        """Of the running epoch."""
        self.history: list[EpochMetrics] = []
        self.clock = Clock()
        self.finished: Finished | None = None
        self.remarks: list[str] = []

    def take(self, event: Event) -> bool:
        """Note an event; return whether it must be seen at once."""
        match event:
            case Started():
                self._start(event)
            case Step(images=images):
                self.images = images
                return False
            case EpochDone(metrics=metrics):
                self.history.append(metrics)
                self.images = 0
            case Finished() if event.teacher:
                reused = ", trained before" if event.reused else ""
                self.remarks.append(
                    f"teacher {event.teacher}: validation {percent(event.validation_accuracy)}{reused}"
                )
            case Finished():
                self.finished = event
        return True

    def _start(self, event: Started) -> None:
        self.run, self.recipe, self.seed = event.run, event.recipe, event.seed
        self.teacher = event.teacher
        self.history, self.images = [*event.history], 0
        self.clock = Clock(len(event.history) * TRAIN_IMAGES)
        self.details = start_text(event.recipe, sessions(event.environment)[-1])
        if event.history:
            self.details += f"; resumed after epoch {len(event.history)}"

    def view(self) -> View | None:
        """Return a bar, and the last epochs."""
        if self.recipe is None:
            return None
        epochs, done = self.recipe.epochs, len(self.history)
        images, total = done * TRAIN_IMAGES + self.images, epochs * TRAIN_IMAGES
        texts = (
            f"epoch {min(done + 1, epochs)} of {epochs}",
            f"{100 * images / total:.0f}%",
            self.clock.left_text(images, total),
        )
        bar = Bar(images / total, " · ".join(filter(None, texts)))
        teacher = f"teacher {self.teacher}: " if self.teacher else ""
        name = f"{teacher}{title(self.recipe.name)}, seed {self.seed}"
        return View(name, "", self.details, bar, epochs_table(self.history[-ROWS:]), self.remarks)

    def result(self, returned: object) -> View | None:
        """Return the accuracy, against the target; the epochs are a click away."""
        if self.finished is None:
            return None
        end, name = self.finished, title(self.finished.recipe.name)
        reached = reaches_target(end.validation_accuracy)
        verdict = f"{'at or above' if reached else 'below'} the target of {TARGET}"
        text = signed(
            reached,
            f"{percent(end.validation_accuracy)} validation accuracy "
            f"at the last of {plural(end.recipe.epochs, 'epoch')}, {verdict}",
        )
        details = f"{end.time_s:,.1f} s, {shown(str(end.run))}"
        if end.reused:
            otherwise = f", trained differently ({end.differing})" if end.differing else ""
            return View(end.run.name, text, f"already finished{otherwise}; {details}")
        table, fold = epochs_table(self.history), plural(len(self.history), "epoch")
        return View(f"{name}, seed {self.seed}", text, details, None, table, self.remarks, fold)

    def stopped(self) -> str:
        """Return after which epoch, or in which, if it is the first."""
        if self.recipe is None:
            return "before the first epoch"
        of, epochs = f"teacher {self.teacher}'s " if self.teacher else "", self.recipe.epochs
        if not self.history:
            return f"in {of}epoch 1 of {epochs}"
        return f"after {of}epoch {len(self.history)} of {epochs}"


def epochs_table(history: list[EpochMetrics]) -> Table:
    """Return a row an epoch."""
    rows = tuple(
        (
            str(epoch.epoch),
            f"{epoch.learning_rate:.4g}",
            percent(epoch.train_accuracy),
            percent(epoch.validation_accuracy),
            f"{epoch.total_time_s:.1f}",
        )
        for epoch in history
    )
    return Table(("Epoch", "Learning rate", "Training", "Validation", "Seconds"), rows, align="rrrrr")
