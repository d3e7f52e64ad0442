"""The picture of a bench: the seeds' curves with their mean, and their last epochs against the target."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

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
DOT_PT = 5.6  # of a seed, its edge included
MEAN_AT_PT = 30.0  # from the left edge of its axes
DOTS_AT_PT = 62.0
WIDEST = 0.3  # points: a longer interval may leave the axis
OUTLIER = 0.5  # points below the median: a seed that the axis leaves out


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
    for curve in curves:
        axes.plot(epochs, curve, color=theme.blue, linewidth=FINE, alpha=0.45)
    axes.plot(epochs, mean, color=theme.blue, linewidth=BOLD, marker="o", markersize=MARKER - 1, zorder=3)
    what = "each seed (thin), mean (bold)" if len(curves) > 1 else "one seed"
    axes.set_title(what, fontsize=SMALL_PT, color=theme.faint, loc="left", pad=4)


def _last_epochs(axes: Axes, bench: Bench, ends: tuple[float, float], theme: Theme) -> None:
    """Draw the mean with its interval, and a dot a seed; across, the axis is in points."""
    width_pt = 72 * DOTS_IN
    axes.set_xlim(0, width_pt)
    axes.set_xticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title("last epoch", fontsize=SMALL_PT, color=theme.faint, loc="left", pad=4)
    per_cent_pt = 72 * AXES_IN / (ends[1] - ends[0])
    values = sorted(100 * value for value in bench.last)
    shown = [value for value in values if value >= ends[0]]
    places, size_pt = swarm([value * per_cent_pt for value in shown], width_pt - DOTS_AT_PT - DOT_PT)
    for place, value in zip(places, shown, strict=True):
        above = reaches_target(value / 100)
        # A filled dot reaches the target, an open one does not: colour is not needed.
        axes.plot(
            [DOTS_AT_PT + place],
            [value],
            marker="o",
            markersize=0.86 * size_pt,
            markeredgewidth=0.14 * size_pt,
            color=theme.blue if above else theme.accent,
            markerfacecolor=theme.blue if above else theme.page,
            linestyle="none",
            zorder=3,
        )
    interval = bench.statistics.interval
    if interval is not None:
        axes.plot(
            [MEAN_AT_PT] * 2,
            [100 * end for end in interval],
            color=theme.ink,
            linewidth=BOLD,
            solid_capstyle="butt",
        )
        for end, marker, way in ((0, "v", 1), (1, "^", -1)):
            if (100 * interval[end] - ends[end]) * way < 0:
                inside = ends[end] + way * MARKER / per_cent_pt
                axes.plot([MEAN_AT_PT], [inside], marker=marker, markersize=2 * MARKER, color=theme.ink)
    mean = 100 * bench.statistics.summary.last.mean
    if len(values) > 1 and mean >= ends[0]:
        axes.plot([MEAN_AT_PT], [mean], marker="D", markersize=MARKER + 1, color=theme.ink, linestyle="none")
    left = [f"▼ {value:.2f}%" for value in values if value < ends[0]]
    seeds = (
        ["seeds" if len(values) > 1 else "seed", *left]
        if len(left) < 2
        else ["seeds", f"▼ {len(left)} below", f"{left[0][2:]} …"]
    )
    under = [(DOTS_AT_PT, "\n".join(seeds), "left")]
    if len(values) > 1:
        under.append((MEAN_AT_PT, "mean and\n95% interval", "center"))
    for x, text, side in under:
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
        placed: list[tuple[float, float]] = []
        for height in heights_pt:
            near = [place for place, other in placed if height - other < size_pt]
            place = 0.0
            taken = [
                (other_place, (max(size_pt**2 - (height - other) ** 2, 0)) ** 0.5)
                for other_place, other in placed[-len(near) :]
            ] if near else []  # fmt: skip
            while blocked := [at + apart for at, apart in taken if abs(place - at) < apart - 1e-9]:
                place = max(place + 1e-9, min(blocked))
            placed.append((place, height))
        widest = max((place for place, _ in placed), default=0.0)
        if widest <= room_pt or size_pt < 0.5:
            return [place for place, _ in placed], size_pt
        size_pt *= 0.8
