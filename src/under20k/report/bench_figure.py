"""The picture of a bench: the seeds' curves with their mean, and their last epochs against the target."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TypeVar

from under20k.report.accuracy_axis import (
    LEFT_IN,
    ROW_PT,
    axis_range,
    below_axis,
    draw_accuracy_axis,
    draw_below_axis,
    draw_epoch_axis,
    shown_epochs,
)
from under20k.report.figures import (
    BOLD,
    FINE,
    LIGHT,
    MARKER,
    SMALL_PT,
    WIDTH_IN,
    Axes,
    Figure,
    Theme,
    default_style,
)
from under20k.report.layout import MARGIN_IN, laid_out, line_in
from under20k.report.words import plural
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target

AXES_IN = 2.8  # height
DOTS_IN = 1.6  # width of the axes of the last epochs
BETWEEN_IN = 0.12
ABOVE_IN = 0.1 + line_in(SMALL_PT)  # for the axes' titles
TICKS_IN = 0.48  # below the axes
DOT_PT, LEAST_DOT_PT = 5.6, 0.5  # of a seed, its edge included
EDGE = 0.14  # of a dot's diameter
ROUNDING_PT = 1e-9
MEAN_AT_PT = 30.0  # from the left edge of its axes
DOTS_AT_PT = 62.0
WIDEST = 0.3  # points: a longer interval may leave the axis
OUTLIER = 0.5  # points below the median: a seed that the axis leaves out
DRAWN = 500  # seeds at most: more take long to draw, and hide each other

T = TypeVar("T")


def seeds_figure(bench: Bench, name: str, theme: Theme = LIGHT) -> Figure:
    """Draw validation accuracy by epoch on the left; on the right a dot a seed, the mean, its interval.

    Args:
        bench: The seeds.
        name: Of the recipe or record: the title.
        theme: Colours.
    """
    curves = [[100 * epoch.validation_accuracy for epoch in seed.epochs] for seed in bench.seeds]
    mean = [statistics.fmean(values) for values in zip(*curves, strict=True)]
    ends = axis_range(_shown(bench, curves))
    below = below_axis({"mean" if len(curves) > 1 else "below": mean}, ends[0])
    below_in = TICKS_IN + ROW_PT / 72 * len(below)
    with default_style(theme, name):
        layout = laid_out(theme, name, _facts(bench), ABOVE_IN + AXES_IN + below_in)
        left = layout.axes(LEFT_IN, DOTS_IN + BETWEEN_IN + MARGIN_IN, ABOVE_IN, below_in)
        right = layout.axes(WIDTH_IN - DOTS_IN - MARGIN_IN, MARGIN_IN, ABOVE_IN, below_in)
        draw_accuracy_axis(left, ends, theme)
        draw_accuracy_axis(right, ends, theme, written=False)
        draw_epoch_axis(left, bench.recipe.epochs, len(below))
        draw_below_axis(left, below, dict.fromkeys(below, theme.blue))
        _curves(left, curves, mean, theme)
        _last_epochs(right, bench, ends, theme)
    return layout.figure


def _facts(bench: Bench) -> list[str]:
    summary = bench.statistics.summary
    seeds = plural(len(bench.seeds), "seed")
    reached = f"{summary.reached_at_last} of {summary.n} at or above the target"
    return [
        f"{plural(bench.recipe.architecture.parameters, 'parameter')}, {seeds}, validation accuracy",
        f"last epoch: {summary.last}" + ("" if bench.single else f"; {reached}"),
    ]


def _shown(bench: Bench, curves: Sequence[Sequence[float]]) -> list[float]:
    """Return the accuracies on the axis: the last epochs' medians, the seeds' last ones, the interval."""
    medians = [statistics.median(values) for values in zip(*curves, strict=True)]
    last = [curve[-1] for curve in curves if curve[-1] >= medians[-1] - OUTLIER]
    interval = [100 * end for end in bench.statistics.interval or ()]
    if interval and interval[1] - interval[0] > WIDEST:
        interval = []
    return [*last, *interval, *shown_epochs(medians)]


def _curves(axes: Axes, curves: Sequence[Sequence[float]], mean: Sequence[float], theme: Theme) -> None:
    epochs = range(1, len(mean) + 1)
    few = len(curves) <= DRAWN
    for curve in curves if few else evenly(sorted(curves, key=lambda curve: curve[-1])):
        axes.plot(epochs, curve, color=theme.blue, linewidth=FINE, alpha=0.45)
    axes.plot(epochs, mean, color=theme.blue, linewidth=BOLD, marker="o", markersize=MARKER - 1, zorder=3)
    what = "each seed (thin), mean (bold)" if len(curves) > 1 else "one seed"
    if not few:
        what = f"{DRAWN} of {len(curves):,} seeds (thin), mean of all (bold)"
    axes.set_title(what, fontsize=SMALL_PT, color=theme.faint, loc="left", pad=4)


def evenly(ranked: Sequence[T]) -> Sequence[T]:
    """Return at most ``DRAWN`` items, evenly spaced, the first and the last among them."""
    if len(ranked) <= DRAWN:
        return ranked
    return [ranked[round(at * (len(ranked) - 1) / (DRAWN - 1))] for at in range(DRAWN)]


def _last_epochs(axes: Axes, bench: Bench, ends: tuple[float, float], theme: Theme) -> None:
    """Draw the mean with its interval, and a dot a seed; across, the axis is in points."""
    axes.set_xlim(0, 72 * DOTS_IN)
    axes.set_xticks([])
    axes.spines["left"].set_visible(False)
    values = sorted(100 * value for value in bench.last)
    what = "last epoch" if len(values) <= DRAWN else f"last epoch, the same {DRAWN}"
    axes.set_title(what, fontsize=SMALL_PT, color=theme.faint, loc="left", pad=4)
    shown = [value for value in evenly(values) if value >= ends[0]]
    below = [f"{value:.2f}%" for value in values if value < ends[0]]
    _dots(axes, shown, 72 * AXES_IN / (ends[1] - ends[0]), theme)
    seeds = plural(len(values), "seed").split()[1]
    if len(below) == 1:
        seeds += f"\n▼ {below[0]}"
    elif below:
        seeds += f"\n▼ {len(below)} below\n{below[0]} …"
    _under(axes, DOTS_AT_PT, seeds, "left", theme)
    if not bench.single:
        _mean(axes, bench, ends, theme)
        _under(axes, MEAN_AT_PT, "mean and\n95% interval", "center", theme)


def _dots(axes: Axes, values: Sequence[float], per_cent_pt: float, theme: Theme) -> None:
    """Draw a dot for each value, in ascending order, equal ones side by side."""
    room_pt = 72 * DOTS_IN - DOTS_AT_PT - DOT_PT
    places, size_pt = swarm([value * per_cent_pt for value in values], room_pt)
    for place, value in zip(places, values, strict=True):
        above = reaches_target(value / 100)
        # A filled dot reaches the target, an open one does not: colour is not needed.
        axes.plot(
            [DOTS_AT_PT + place],
            [value],
            marker="o",
            markersize=(1 - EDGE) * size_pt,
            markeredgewidth=EDGE * size_pt,
            color=theme.blue if above else theme.accent,
            markerfacecolor=theme.blue if above else theme.page,
            linestyle="none",
            zorder=3,
        )


def _mean(axes: Axes, bench: Bench, ends: tuple[float, float], theme: Theme) -> None:
    """Draw the mean and its interval, with an arrow where that leaves the axis."""
    interval, mean = bench.statistics.interval, 100 * bench.summary.last.mean
    if interval is not None:
        low, high = (100 * end for end in interval)
        axes.plot([MEAN_AT_PT] * 2, [low, high], color=theme.ink, linewidth=BOLD, solid_capstyle="butt")
        head = MARKER * (ends[1] - ends[0]) / (72 * AXES_IN)
        arrows = (("v", ends[0] + head, low < ends[0]), ("^", ends[1] - head, high > ends[1]))
        for marker, height, leaves in arrows:
            if leaves:
                axes.plot([MEAN_AT_PT], [height], marker=marker, markersize=2 * MARKER, color=theme.ink)
    if mean >= ends[0]:
        axes.plot([MEAN_AT_PT], [mean], marker="D", markersize=MARKER + 1, color=theme.ink, linestyle="none")


def _under(axes: Axes, x: float, text: str, side: str, theme: Theme) -> None:
    axes.annotate(
        text, (x, 0), (0, -4), ("data", "axes fraction"), textcoords="offset points", ha=side, va="top",
        fontsize=SMALL_PT, color=theme.faint, linespacing=1.25, annotation_clip=False,
    )  # fmt: skip


def swarm(heights_pt: Sequence[float], room_pt: float) -> tuple[list[float], float]:
    """Return a place beside an upright line for a dot at each height, so that none covers another.

    Args:
        heights_pt: In ascending order, in points.
        room_pt: Beside the line: where the dots need more, they become smaller.

    Returns:
        Each dot's distance from the line, and the dots' diameter, in points.
    """
    size_pt = DOT_PT
    while True:
        places: list[float] = []
        first = 0  # of the dots that are near in height
        for index, height in enumerate(heights_pt):
            while height - heights_pt[first] >= size_pt:
                first += 1
            # Of each dot near in height, how far aside the next one must stay.
            near = [
                (place, math.sqrt(size_pt**2 - (height - other) ** 2))
                for place, other in zip(places[first:], heights_pt[first:index], strict=True)
            ]
            free = 0.0
            for place, apart in sorted(near, key=lambda dot: dot[0] - dot[1]):
                if abs(free - place) < apart - ROUNDING_PT:
                    free = place + apart
            places.append(free)
            if free > room_pt and size_pt >= LEAST_DOT_PT:
                break
        else:
            return places, size_pt
        size_pt *= 0.8
