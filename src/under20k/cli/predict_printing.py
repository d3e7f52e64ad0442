"""Print what ``under20k predict`` reads, as it is read: as tables, JSON or CSV."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from under20k.deploy.model import Model
from under20k.deploy.pictures import NoPicture
from under20k.deploy.read import Reading
from under20k.errors import shown
from under20k.formatting import percent
from under20k.interactive.screen import Screen
from under20k.interactive.terminal import say, terminal_width
from under20k.report.predictions import (
    HEADER,
    csv_lines,
    csv_rows,
    digits_table,
    is_page,
    page_text,
    plain,
)
from under20k.report.words import plural

ROWS = 500
"""Pictures of single digits in a table: it is printed while others are read."""
PROGRESS_FROM = 200
"""Pictures from which on progress is shown."""
LINE_EVERY = 10_000
"""Pictures between lines of progress where there is no terminal."""


class Printer(AbstractContextManager["Printer"]):
    """Prints readings on stdout, all of them by the end of the block."""

    @abstractmethod
    def add(self, reading: Reading) -> None:
        """Take a picture, and print it at once or later."""

    def end(self) -> None:
        """Print the rest."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()


class TextPrinter(Printer):
    """Prints each page, what it says and a table; and tables of the single digits between pages."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        """Whether there is one picture, which needs no name."""
        self.singles: list[Reading] = []
        self.begun = False

    def add(self, reading: Reading) -> None:
        if reading.fault:
            return
        if is_page(reading):
            self.end()
            self._print(page_text(reading, terminal_width(), alone=self.alone))
            return
        self.singles.append(reading)
        if len(self.singles) == ROWS:
            self.end()

    def end(self) -> None:
        if self.singles:
            self._print(digits_table(self.singles, with_name=True).text(terminal_width()))
            self.singles = []

    def _print(self, text: str) -> None:
        print(f"\n{text}" if self.begun else text, flush=True)
        self.begun = True


class CsvPrinter(Printer):
    """Prints a row a digit, under a header."""

    def __init__(self) -> None:
        print(csv_lines([HEADER]), end="")

    def add(self, reading: Reading) -> None:
        if not reading.fault:
            print(csv_lines(csv_rows(reading)), end="")


class JsonPrinter(Printer):
    """Prints an object with the model and a list of the pictures, a line each."""

    def __init__(self, model: Model, missing: Sequence[NoPicture]) -> None:
        about = {"name": model.name, "temperature": model.temperature, "threshold": model.threshold}
        print(f'{{\n"model": {json.dumps(about)},\n"pictures": [', end="")
        self.separator = "\n"
        for each in missing:
            self._print({"file": each.name, "error": str(each)})

    def add(self, reading: Reading) -> None:
        self._print(plain(reading))

    def end(self) -> None:
        print("\n]\n}")

    def _print(self, values: dict[str, Any]) -> None:
        print(self.separator + json.dumps(values), end="")
        self.separator = ",\n"


class Progress(AbstractContextManager["Progress"]):
    """Shows on stderr how many of many pictures are read."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.screen = None if quiet or total < PROGRESS_FROM else Screen()
        self.total, self.done = total, 0
        self.shared = sys.stdout.isatty()
        """Whether stdout is on the terminal, too, where the bar would be in the way of a table."""

    def advance(self) -> None:
        """Count one more picture."""
        self.done += 1
        if self.screen is None:
            return
        if self.screen.terminal and not self.shared:
            if self.done == 1:
                self.screen.start_bar(self.total, unit="pictures")
            self.screen.move_bar(self.done)
        elif not self.screen.terminal and self.done % LINE_EVERY == 0 and self.done < self.total:
            self.screen.line(f"{self.done:,} of {plural(self.total, 'picture')}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.screen is not None:
            self.screen.__exit__(kind, error, trace)


def tell(fault: str) -> None:
    """Print on stderr, in a line, what could not be read."""
    say(f"under20k: {shown(' '.join(fault.split()))}", sys.stderr)


def described(model: Model) -> str:
    """Return which model reads, and how good it is."""
    kind = f"{model.recipe.architecture.parameters:,} parameters"
    if model.card is None:
        return f"{model.name}: {kind}"
    return f"{model.name}: pretrained, {kind}, validation {percent(model.card.validation_accuracy)}"
