"""A call in a notebook's cell: one output that shows its progress, and in the end its result."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType

from under20k.data.events import Downloaded, FetchWarning, SourceDone, SourceTried
from under20k.errors import shown
from under20k.interactive.kernel import Output
from under20k.interactive.view import Bar, View, Viewed
from under20k.report.words import signed
from under20k.runs.events import Event, Failed, Note

KEPT = 5
"""Number of remarks kept; the latest ones."""


class Cell(AbstractContextManager["Cell"]):
    """Shows a call; call it with each event, and ``show_result`` at the end.

    ``again`` says how to go on after an interrupt.
    """

    def __init__(self, viewed: Viewed, again: str) -> None:
        self.viewed, self.again = viewed, again
        self.output = Output()
        self.source = ""
        """Where MNIST is fetched from, while it is."""
        self.download: Downloaded | None = None
        self.remarks: list[str] = []

    def __call__(self, event: Event) -> None:
        """Show an event."""
        at_once = True
        match event:
            case SourceTried(source=source):
                self.source, self.download = source, None
            case Downloaded():
                at_once = self.download is None
                self.download = event
            case SourceDone(outcome=outcome):
                self.remarks.append(f"MNIST from {self.source}: {outcome}")
                self.source, self.download = "", None
            case FetchWarning(text=text):
                self.remarks.append(f"! {text}")
            case Note(text=text):
                self.remarks.append(text)
            case Failed(run=run, reason=reason, retry=retry):
                self.remarks.append(signed(False, f"{run.name}: {reason}{'; retrying' if retry else ''}"))
                self.viewed.take(event)
            case _:
                at_once = self.viewed.take(event)
        if at_once or self.output.due:
            self._show(self._fetching() if self.source else self.viewed.view())

    def show_result(self, returned: object) -> None:
        """Show what the call has returned."""
        self._show(self.viewed.result(returned))

    def __enter__(self) -> Cell:
        self._show(self.viewed.view())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show how to go on after an interrupt; after another error, how far it came."""
        if kind is None:
            return
        if issubclass(kind, KeyboardInterrupt):
            self.remarks = [f"interrupted {self.viewed.stopped()}; {self.again}"]
            self._show(self.viewed.view(), bar=False)
        else:
            self._show(self.viewed.view(), bar=False)

    def _fetching(self) -> View:
        """Return a bar of the file that arrives."""
        if self.download is None:
            return View("MNIST", f"from {self.source}")
        done, total = self.download.done_bytes, self.download.total_bytes
        text = f"{self.download.file}, {done / 1e6:.1f} of {total / 1e6:.1f} MB"
        return View("MNIST", f"from {self.source}", bar=Bar(done / max(total, 1), text))

    def _show(self, view: View | None, *, bar: bool = True) -> None:
        if view is None and not self.remarks:
            return
        view = view or View("under20k")
        remarks = [*view.remarks, *map(shown, self.remarks)][-KEPT:]
        view = replace(view, remarks=remarks, bar=view.bar if bar else None)
        self.output.show(view.html(), view.plain())
