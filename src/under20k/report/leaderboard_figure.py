"""The leaderboard as a picture: accuracy against parameters, the Pareto front, public figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from under20k.files import write_bytes
from under20k.formatting import percent
from under20k.report.accuracy_axis import LEFT_IN, axis_range, draw_accuracy_axis
from under20k.report.anchors import ANCHORS, Anchor
from under20k.report.figures import (
    DASHED,
    LIGHT,
    MARKER,
    MEDIUM,
    SMALL_PT,
    THIN,
    WIDTH_IN,
    Axes,
    Figure,
    FuncFormatter,
    NullLocator,
    Theme,
    default_style,
    drawable,
    png,
)
from under20k.report.layout import MARGIN_IN, laid_out, line_in
from under20k.report.leaderboard_labels import Label, draw_names, numbered
from under20k.report.short_names import labels
from under20k.runs.leaderboard import Entry, pareto

AXES_IN = 4.2  # height
TICKS_IN = 0.52  # below the axes, for the parameters and their name
LABELLED = 30  # entries with a name: more would be unreadable
ROOM = 1.3  # factor beyond the fewest and the most parameters
TICKS = [digit * 10**power for power in range(8) for digit in (1, 2, 3, 5, 7)]
TICK_PT = 50.0  # between two ticks at least
OUTLIER = 0.5  # points below the median, at least, of an entry that the axis leaves out
SPREAD = 3.0  # the same, in interquartile ranges
LONGEST_INTERVAL = 0.3  # points; a longer one may leave the axis
SELECTED, VALIDATED = "public figure, selected on the test set", "public figure, on a validation set"
FRONT = "Pareto front of these"
CAPTION = (
    "Each public figure is from one run, and cannot be compared with ours: validation accuracy on our "
    "split, mean over seeds."
)


def draw_leaderboard(entries: Sequence[Entry], path: Path, theme: Theme = LIGHT) -> None:
    """Draw the picture as PNG at ``path``. Raises UserError where it cannot be written."""
    write_bytes(path, png(leaderboard_figure(entries, theme=theme)))


def leaderboard_figure(
    entries: Sequence[Entry], anchors: Sequence[Anchor] = ANCHORS, theme: Theme = LIGHT
) -> Figure:
    """Draw mean validation accuracy with its 95% interval against parameters, the front, the anchors.

    Args:
        entries: At least one; the first ``LABELLED`` are named.
        anchors: Public figures.
        theme: Colours.
    """
    ends = _accuracies(entries, anchors)
    on_axis = [anchor for anchor in anchors if 100 * anchor.accuracy >= ends[0]]
    named = labels(entries[:LABELLED])
    wanted = [_label(entry, drawable(text), ends[0]) for entry, text in zip(entries, named, strict=False)]
    wanted += [
        Label(anchor.name, anchor.parameters, 100 * anchor.accuracy, anchor=True) for anchor in on_axis
    ]
    below = [
        f"{anchor.name} ({anchor.parameters:,} parameters, {percent(anchor.accuracy)})"
        for anchor in anchors
        if anchor not in on_axis
    ]
    notes = [CAPTION] if anchors else []
    notes += [f"Below the axis: {', '.join(below)}."] if below else []
    if len(entries) > LABELLED:
        notes.append(f"Only the first {LABELLED} of {len(entries)} are named.")
    with default_style(theme, "".join(named)):
        # Numbers, where a name finds no place, need a key below, which makes the figure taller: drawn again.
        _, axes = _frame(entries, on_axis, ends, theme, notes)
        texts = numbered(axes, wanted, entries, on_axis)
        key = [
            f"{short} {label.text}".replace(" ", "\N{NO-BREAK SPACE}")
            for short, label in zip(texts, wanted, strict=True)
            if short not in ("", label.text)
        ]
        if unplaced := [label.text for short, label in zip(texts, wanted, strict=True) if not short]:
            notes.insert(0, f"No room to label: {', '.join(unplaced)}.")
        figure, axes = _frame(entries, on_axis, ends, theme, [*(["    ".join(key)] if key else []), *notes])
        _anchors(axes, on_axis, theme)
        _entries(axes, entries, ends, theme)
        _legend(axes, theme)
        draw_names(axes, wanted, texts, entries, on_axis, theme)
    return figure


def _accuracies(entries: Sequence[Entry], anchors: Sequence[Anchor]) -> tuple[float, float]:
    """Return the ends of the axis: outliers, long intervals and low anchors may leave it."""
    means = [100 * entry.validation.mean for entry in entries]
    quarters = statistics.quantiles(means, method="inclusive") if len(means) > 1 else means * 3
    bound = quarters[1] - max(OUTLIER, SPREAD * (quarters[2] - quarters[0]))
    shown = [mean for mean in means if mean >= bound]
    for entry, mean in zip(entries, means, strict=True):
        interval = [100 * end for end in entry.statistics.interval or ()]
        if interval and mean >= bound and interval[1] - interval[0] <= LONGEST_INTERVAL:
            shown += interval
    lower = axis_range(shown)[0]
    return axis_range([*shown, *(100 * a.accuracy for a in anchors if 100 * a.accuracy > max(lower, 99.2))])


def _label(entry: Entry, text: str, lower: float) -> Label:
    mean = 100 * entry.validation.mean
    if mean < lower:
        return Label(f"{text} {percent(entry.validation.mean)}", entry.parameters, lower)
    return Label(text, entry.parameters, mean)


def _frame(
    entries: Sequence[Entry],
    anchors: Sequence[Anchor],
    ends: tuple[float, float],
    theme: Theme,
    notes: Sequence[str],
) -> tuple[Figure, Axes]:
    """Return a figure with empty axes, and these."""
    legend_in = line_in(SMALL_PT) * -(-len(_meanings(entries, anchors, ends[0])) // 2) + 0.12
    layout = laid_out(
        theme,
        "Accuracy against parameters",
        ["validation accuracy at the last epoch, mean over seeds"],
        AXES_IN + TICKS_IN + legend_in,
        notes,
    )
    axes = layout.axes(LEFT_IN - 0.1, MARGIN_IN, 0.15, TICKS_IN + legend_in)
    sizes = [entry.parameters for entry in entries] + [anchor.parameters for anchor in anchors]
    low, high = min(sizes) / ROOM, max(sizes) * ROOM
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    per_decade_pt = 72 * (WIDTH_IN - LEFT_IN - MARGIN_IN) / math.log10(high / low)
    ticks: list[float] = []
    for tick in TICKS:
        far = not ticks or math.log10(tick / ticks[-1]) * per_decade_pt >= TICK_PT
        if low <= tick <= high and far:
            ticks.append(tick)
    axes.set_xticks(ticks)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("parameters", labelpad=2)
    draw_accuracy_axis(axes, ends, theme)
    return layout.figure, axes


def _anchors(axes: Axes, anchors: Sequence[Anchor], theme: Theme) -> None:
    for selected, marker, text in ((True, "x", SELECTED), (False, "+", VALIDATED)):
        shown = [anchor for anchor in anchors if anchor.selected == selected]
        if shown:
            axes.plot(
                [anchor.parameters for anchor in shown],
                [100 * anchor.accuracy for anchor in shown],
                linestyle="none",
                marker=marker,
                markersize=MARKER + 1,
                markeredgewidth=MEDIUM,
                color=theme.accent,
                label=text,
            )


def _entries(axes: Axes, entries: Sequence[Entry], ends: tuple[float, float], theme: Theme) -> None:
    front = pareto(entries)
    axes.plot(
        [entry.parameters for entry in front],
        [100 * entry.validation.mean for entry in front],
        color=theme.blue,
        linewidth=THIN,
        linestyle=DASHED,
        drawstyle="steps-post",
        label=FRONT,
    )
    for entry in entries:
        mean = 100 * entry.validation.mean
        if interval := entry.statistics.interval:
            axes.plot(
                [entry.parameters] * 2, [100 * end for end in interval], color=theme.blue, linewidth=MEDIUM
            )
        several, inside = entry.validation.n > 1, mean >= ends[0]
        axes.plot(
            [entry.parameters],
            [max(mean, ends[0])],
            marker="o" if inside else "v",
            markersize=MARKER + (not inside),
            color=theme.blue,
            # A single run, which has no interval, is open.
            markerfacecolor=theme.blue if several else theme.page,
            linestyle="none",
            clip_on=False,
            label=_meaning(entry, ends[0]),
        )


def _meaning(entry: Entry, lower: float) -> str:
    if 100 * entry.validation.mean < lower:
        return "below the axis"
    return "mean over seeds, 95% interval" if entry.validation.n > 1 else "one seed"


def _meanings(entries: Sequence[Entry], anchors: Sequence[Anchor], lower: float) -> set[str]:
    """Return the texts of the legend."""
    public = {SELECTED if anchor.selected else VALIDATED for anchor in anchors}
    return {FRONT} | public | {_meaning(entry, lower) for entry in entries}


def _legend(axes: Axes, theme: Theme) -> None:
    """Write below the axes what the marks mean, each once."""
    handles, texts = axes.get_legend_handles_labels()
    once = {text: handle for handle, text in zip(handles, texts, strict=True)}
    axes.legend(
        once.values(),
        once.keys(),
        loc="upper left",
        bbox_to_anchor=(-0.02, -TICKS_IN / AXES_IN),
        ncols=2,
        fontsize=SMALL_PT,
        labelcolor=theme.faint,
        frameon=False,
        borderpad=0,
        handlelength=1.6,
        labelspacing=0.35,
        columnspacing=1.5,
    )
