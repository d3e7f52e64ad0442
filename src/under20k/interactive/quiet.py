"""In place of a display: only failures and warnings, on stderr."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType

from under20k.data.events import FetchWarning
from under20k.errors import shown
from under20k.runs.events import Event, Failed, Finished


class Quiet(AbstractContextManager["Quiet"]):
    """Takes a ``Display``'s place, and prints failures and warnings alone."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have nothing to clean up."""

    def line(self, text: str) -> None:
        """Print nothing."""

    def __call__(self, event: Event) -> None:
        """Print a failure or a warning, such as that a reused run was trained differently."""
        match event:
            case Failed(run=run, reason=reason, retry=retry):
                warn(f"{run.name}: {reason}; retrying" if retry else f"{run.name} failed: {reason}")
            case Finished(run=run, reused=True, differing=differing, teacher=0) if differing:
                warn(f"warning: {run} was trained differently ({differing}); --overwrite retrains it")
            case FetchWarning(text=text):
                warn(f"warning: {text}")


def warn(text: str) -> None:
    """Print a line on stderr."""
    print(shown(text), file=sys.stderr, flush=True)
