"""A check in a notebook's cell: a bar without an end, then the verdict."""

from __future__ import annotations

from under20k.checking.findings import Findings, missed
from under20k.interactive.view import Bar, View
from under20k.report.words import enumeration, signed
from under20k.runs.events import Event


class CheckView:
    """A ``Viewed`` of ``check``, which has no events."""

    def take(self, event: Event) -> bool:
        """Do nothing."""
        return False

    def view(self) -> View | None:
        """Return a bar."""
        return View("Checking", bar=Bar(None, ""))

    def result(self, returned: object) -> View | None:
        """Return the verdict."""
        assert isinstance(returned, Findings)
        rules = missed(returned)
        return View(
            "Checked:",
            signed(not rules, f"misses {enumeration(rules)}" if rules else "meets every requirement"),
        )

    def stopped(self) -> str:
        """Return that there is no verdict."""
        return "before the verdict"
