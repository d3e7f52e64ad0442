"""The leaderboard as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from under20k.report.short_names import labels
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

OPTIONAL = ("MACs", "Test", "Kind", P_VALUE, "Seconds", "Epochs")
"""Columns that a narrow terminal hides, in this order; before them the empty ones."""


def leaderboard_table(entries: Sequence[Entry], *, short: bool = False) -> Table:
    """Return a row an entry, in the order given.

    ``short`` gives labels in place of names, which tell changed recipes apart on a terminal.
    """
    names = labels(entries) if short else full_names(entries)
    rows = tuple(
        (
            name,
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
        for name, entry in zip(names, entries, strict=True)
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
    empty = [title for title, *cells in zip(header, *rows, strict=True) if set(cells) == {NOTHING}]
    return Table(
        header,
        rows,
        align="lrrrrrrlrr",
        notes=(
            TARGET_MARKS,
            *mark_notes({name: entry.times_differ_in for name, entry in zip(names, entries, strict=True)}),
        ),
        optional=(*empty, *(name for name in OPTIONAL if name not in empty)),
        shortens=("Name",),
    )


def full_names(entries: Sequence[Entry]) -> list[str]:
    """Return the names, and of those that are equal also the folder."""
    often = Counter(entry.name for entry in entries)
    return [f"{entry.name} ({entry.path})" if often[entry.name] > 1 else entry.name for entry in entries]
