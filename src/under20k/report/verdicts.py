"""The requirement checks as a table."""

from __future__ import annotations

from collections.abc import Sequence

from under20k.checking.findings import Finding
from under20k.report.tables import Table


def verdicts_table(findings: Sequence[Finding], caption: str = "") -> Table:
    """A row a requirement: what it asks, whether it is met, and what was found."""
    rows = tuple((f.rule, f.requirement, f.status, f.evidence) for f in findings)
    return Table(("Rule", "Requirement", "Result", "Evidence"), rows, caption=caption, align="llll")
