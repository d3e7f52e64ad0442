"""The requirement checks as a table. Their verdicts come from ``under20k.rules``, which needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from under20k.report.tables import Table


class Verdict(Protocol):
    """One requirement, checked: what ``under20k.rules`` gives."""

    @property
    def rule(self) -> str: ...

    @property
    def requirement(self) -> str: ...

    @property
    def passed(self) -> bool: ...

    @property
    def evidence(self) -> str: ...


def verdicts_table(verdicts: Sequence[Verdict], caption: str) -> Table:
    """A row a requirement: what it asks, whether it is met, and what was found."""
    rows = tuple((v.rule, v.requirement, "yes" if v.passed else "NO", v.evidence) for v in verdicts)
    return Table(("Rule", "Requirement", "Met", "Evidence"), rows, caption=caption, align="llll")


def missed(verdicts: Sequence[Verdict]) -> list[str]:
    """The rules whose requirement is not met."""
    return [verdict.rule for verdict in verdicts if not verdict.passed]
