"""Print lines on stderr, and on a terminal a progress bar below them."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from under20k.errors import shown
from under20k.interactive.terminal import INDENT, terminal_width
from under20k.report.text_lines import wrapped


class Screen(AbstractContextManager["Screen"]):
    """Prints lines on stderr, with at most one progress bar below them on a terminal."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._line_open = False

    @property
    def width(self) -> int | None:
        """The terminal's columns; None where stderr is a file or a pipe, which gets whole lines."""
        return terminal_width(sys.stderr) if self.terminal else None

    def line(self, text: str) -> None:
        """Print a line above the bar, wrapped to the terminal's width."""
        self._end_line()
        text = "\n".join(wrapped(shown(text), self.width, INDENT))
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def begin_line(self, text: str) -> None:
        """Print the beginning of a line that ``end_line`` completes; on a terminal, a line of its own."""
        if self.terminal:
            self.line(text)
            return
        self._end_line()
        print(text, end=": ", file=sys.stderr, flush=True)
        self._line_open = True

    def end_line(self, text: str) -> None:
        """Complete the line that ``begin_line`` began; on a terminal, print an indented line instead."""
        self._line_open = False
        self.line(f"  {text}" if self.terminal else text)

    def start_bar(self, total: int, done: int = 0, *, unit: str, name: str = "") -> None:
        """Show a bar, replacing any previous one.

        Args:
            total: value at the end of the bar.
            done: value at the start.
            unit: unit of both.
            name: text before the bar.
        """
        self.end_bar()
        if self.terminal:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                initial=done,
                desc=name or None,
                unit=unit,
                unit_scale=True,
                leave=False,
                dynamic_ncols=True,
            )

    def move_bar(self, done: int) -> None:
        """Set the bar to ``done`` of its total."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def end_bar(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_bar()
        self._end_line()

    def _end_line(self) -> None:
        if self._line_open:
            print(file=sys.stderr, flush=True)
            self._line_open = False
