"""The leaderboard as a table."""

from __future__ import annotations

from collections.abc import Sequence

from under20k.report.tables import Table
from under20k.report.words import (
    NOTHING,
    P_VALUE,
    TARGET,
    TARGET_MARKS,
    mark,
    mark_notes,
    marked,
    p_text,
)
from under20k.runs.leaderboard import Entry


def leaderboard_table(entries: Sequence[Entry]) -> Table:
    """Return a row an entry, in the order given."""
    rows = tuple(
        (
            entry.name,
            marked(entry.validation.mean, str(entry.validation)),
            f"{entry.statistics.summary.reached_at_last} of {entry.validation.n}",
            f"{entry.parameters:,}",
            str(entry.epochs),
            f"{entry.statistics.time_s.mean:,.1f}{mark(entry.times_differ_in)}",
            p_text(entry.statistics.p_exceeds_target),
            entry.kind,
            NOTHING if entry.test is None else str(entry.test),
            f"{entry.macs:,}",
        )
        for entry in entries
    )
    header = (
        "Name",
        "Validation, last epoch",
        f"Seeds ≥ {TARGET}",
        "Parameters",
        "Epochs",
        "Seconds",
        P_VALUE,
        "Kind",
        "Test",
        "MACs",
    )
    return Table(
        header,
        rows,
        align="lrrrrrrlrr",
        notes=(
            TARGET_MARKS,
            *mark_notes({entry.name: entry.times_differ_in for entry in entries}),
        ),
        optional=("MACs", "Test", "Kind", P_VALUE, "Seconds", "Epochs"),
        shortens=("Name",),
    )
