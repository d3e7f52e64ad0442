"""A call in a notebook's cell that has nothing to show but the download of MNIST, if there is one."""

from __future__ import annotations

from under20k.interactive.view import View
from under20k.runs.events import Event


class DownloadView:
    """A ``Viewed`` of ``evaluate``, ``load_mnist``, …; ``Cell`` itself shows downloads."""

    def take(self, event: Event) -> bool:
        """Do nothing."""
        return False

    def view(self) -> View | None:
        """Return nothing."""
        return None

    def result(self, returned: object) -> View | None:
        """Return nothing."""
        return None

    def stopped(self) -> str:
        """Return where a download would have stopped."""
        return "before the end"
