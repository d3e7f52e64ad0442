"""The leaderboard as a table, and as a picture of accuracy against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from under20k.files import write_bytes
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.report.anchors import ANCHORS, Anchor
from under20k.report.figures import (
    BLUE,
    FAINT,
    GRID,
    INK,
    VERMILION,
    Axes,
    Figure,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    default_style,
    new_figure,
    png,
)
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
    shortened,
)
from under20k.runs.leaderboard import Entry, pareto

WIDTH_IN, HEIGHT_IN = 9.0, 5.6
FONT_POINTS = 9
LABELLED = 20  # more names would cover each other
LONGEST = 32  # characters of a name
TICKS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
CAPTION = (
    "Anchors are public figures of a single run each; crosses were monitored or selected on the test set, "
    "the plus on\nits own validation set. They are not comparable with our scale: "
    "validation accuracy on our split, mean over seeds."
)
BOTTOM = 0.989  # of the axis, lower where an entry is


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


def draw_leaderboard(entries: Sequence[Entry], path: Path) -> None:
    """Draw the picture as PNG at ``path``. Raises UserError where it cannot be written."""
    write_bytes(path, png(leaderboard_figure(entries)))


def leaderboard_figure(entries: Sequence[Entry], anchors: Sequence[Anchor] = ANCHORS) -> Figure:
    """Draw mean validation accuracy with its 95% interval against parameters, the front, the anchors."""
    with default_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = figure.add_axes((0.095, 0.2, 0.875, 0.72))
        _frame(axes, entries, anchors)
        _anchors(axes, anchors)
        _entries(axes, entries)
        axes.legend(loc="lower right", fontsize=FONT_POINTS, frameon=False)
        figure.text(
            0.095,
            0.025,
            CAPTION,
            fontsize=FONT_POINTS - 1,
            color=FAINT,
        )
    return figure


def _frame(axes: Axes, entries: Sequence[Entry], anchors: Sequence[Anchor]) -> None:
    sizes = [entry.parameters for entry in entries] + [anchor.parameters for anchor in anchors]
    low = min([BOTTOM, *(_ends(entry)[0] for entry in entries)])
    high = max([*(_ends(entry)[1] for entry in entries), *(anchor.accuracy for anchor in anchors)])
    room = 0.06 * (high - low)
    axes.set_xscale("log")
    axes.set_xlim(0.75 * min(sizes), 1.5 * max(sizes))
    axes.set_ylim(100 * (low - room), 100 * (high + room))
    axes.set_xticks([tick for tick in TICKS if 0.75 * min(sizes) < tick < 1.5 * max(sizes)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}%"))
    axes.set_xlabel("parameters", fontsize=FONT_POINTS)
    axes.set_ylabel("accuracy", fontsize=FONT_POINTS)
    axes.tick_params(labelsize=FONT_POINTS, color=FAINT, labelcolor=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.axhline(100 * TARGET_ACCURACY, color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1.5)
    axes.set_title(
        "validation accuracy at the last epoch, mean over seeds with its 95% interval",
        loc="left",
        fontsize=FONT_POINTS + 1,
        color=INK,
    )


def _anchors(axes: Axes, anchors: Sequence[Anchor]) -> None:
    for selected, marker, label in (
        (True, "x", "public anchor: one run, test-selected"),
        (False, "+", "public anchor: one run, validation"),
    ):
        shown = [anchor for anchor in anchors if anchor.selected == selected]
        if shown:
            axes.plot(
                [anchor.parameters for anchor in shown],
                [100 * anchor.accuracy for anchor in shown],
                linestyle="none",
                marker=marker,
                markersize=8,
                markeredgewidth=1.6,
                color=VERMILION,
                label=label,
            )
    for anchor in anchors:
        axes.annotate(
            f"{anchor.parameters:,}",
            (anchor.parameters, 100 * anchor.accuracy),
            (7, -8),  # to the right: names of entries stand to the left; below: not on the target
            textcoords="offset points",
            fontsize=FONT_POINTS - 1,
            color=VERMILION,
            va="center",
        )


def _entries(axes: Axes, entries: Sequence[Entry]) -> None:
    front = pareto(entries)
    axes.plot(
        [entry.parameters for entry in front],
        [100 * entry.validation.mean for entry in front],
        color=BLUE,
        linewidth=1.2,
        linestyle="--",
        drawstyle="steps-post",
        label="Pareto front of these",
    )
    for index, entry in enumerate(entries):
        low, high = _ends(entry)
        axes.plot([entry.parameters] * 2, [100 * low, 100 * high], color=BLUE, linewidth=1.6)
        axes.plot(
            [entry.parameters],
            [100 * entry.validation.mean],
            marker="o",
            markersize=6,
            color=BLUE,
            # A single run, which has no interval, is an open dot.
            markerfacecolor=BLUE if entry.validation.n > 1 else "white",
            linestyle="none",
        )
        if index < LABELLED:
            axes.annotate(
                shortened(entry.name, LONGEST),
                (entry.parameters, 100 * entry.validation.mean),
                (-7, 0),
                textcoords="offset points",
                fontsize=FONT_POINTS - 1,
                color=INK,
                ha="right",
                va="center",
                parse_math=False,
            )


def _ends(entry: Entry) -> tuple[float, float]:
    mean = entry.validation.mean
    return entry.statistics.interval or (mean, mean)
