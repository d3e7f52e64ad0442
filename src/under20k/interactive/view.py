"""What a notebook's cell shows of a running call: a headline, a bar, a table, remarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from under20k.report.html import FAINT, bar_html, box, folded, headline, line, table_html
from under20k.report.tables import Table
from under20k.runs.events import Event


@dataclass(frozen=True)
class Bar:
    """A bar, filled to ``fraction`` (None where that is unknown), and the text beside it."""

    fraction: float | None
    text: str


@dataclass(frozen=True)
class View:
    """The content of a cell's output, at one moment."""

    title: str
    text: str = ""
    details: str = ""
    """A faint line below."""
    bar: Bar | None = None
    table: Table | None = None
    remarks: Sequence[str] = ()
    fold: str = ""
    """What to click to see the table; by default it is shown."""

    def html(self) -> str:
        """Return the view as HTML."""
        parts = [headline(self.title, self.text)]
        parts += [line(self.details, FAINT)] if self.details else []
        parts += [bar_html(self.bar.fraction, self.bar.text)] if self.bar else []
        if self.table and self.table.rows:
            table = table_html(self.table)
            parts.append(folded(self.fold, table) if self.fold else table)
        parts += [line(remark) for remark in self.remarks]
        return box(*parts)

    def plain(self) -> str:
        """Return the view as one line of text."""
        bar = self.bar.text if self.bar else ""
        return "; ".join(filter(None, [f"{self.title} {self.text}".strip(), bar, *self.remarks]))


class Viewed(Protocol):
    """A call, as its events tell of it."""

    def take(self, event: Event) -> bool:
        """Note an event; return whether it must be seen at once."""

    def view(self) -> View | None:
        """Return what to show while the call runs; None for nothing yet."""

    def result(self, returned: object) -> View | None:
        """Return what to show when it has returned; None leaves nothing to say."""

    def stopped(self) -> str:
        """Return how far it came, as the end of a sentence: ``after epoch 3 of 8``."""


@dataclass
class Clock:
    """Estimates how long the rest takes, from how much has been done since it was made."""

    done: float = 0.0
    """What had been done by then."""
    began_s: float = field(default_factory=monotonic)

    def left_text(self, done: float, total: float) -> str:
        """Return ``12 s left`` or ``3 min left``; empty while there is nothing to go by."""
        gained, passed_s = done - self.done, monotonic() - self.began_s
        if gained <= 0 or passed_s < 1:
            return ""
        left_s = passed_s * (total - done) / gained
        if left_s < 100:
            return f"{left_s:.0f} s left"
        return f"{left_s / 60:.0f} min left" if left_s < 6000 else f"{left_s / 3600:.1f} h left"
