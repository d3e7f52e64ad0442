"""The picture of a bench: the seeds' curves with their mean, and their last epochs against the target."""

from __future__ import annotations

from collections import Counter
from textwrap import wrap

from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.report.curves import lower_end
from under20k.report.figures import (
    BLUE,
    FAINT,
    GRID,
    INK,
    VERMILION,
    Axes,
    Figure,
    MaxNLocator,
    default_style,
    new_figure,
)
from under20k.report.words import plural
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import reaches_target

WIDTH_IN, HEIGHT_IN = 9.6, 4.6
FONT_POINTS = 9
TITLE_WIDTH = 100  # characters a line
MARGIN = 0.06  # of the right axis's range, beyond the seeds and the target


def seeds_figure(bench: Bench, name: str) -> Figure:
    """Draw validation accuracy by epoch on the left; on the right a dot a seed, the mean, its interval.

    ``name``, of the recipe or record, is the title.
    """
    with default_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        left = figure.add_axes((0.085, 0.13, 0.43, 0.66))
        right = figure.add_axes((0.62, 0.13, 0.36, 0.66))
        _curves(left, bench)
        _last_epochs(right, bench)
        parameters = plural(bench.recipe.architecture.parameters, "parameter")
        title = f"{name}: {parameters}, {plural(len(bench.seeds), 'seed')}"
        title = "\n".join(wrap(title, TITLE_WIDTH, max_lines=2, placeholder=" …"))
        # Names are a user's: no "$" in them starts a formula.
        figure.text(0.085, 0.95, title, fontsize=11.5, color=INK, parse_math=False, va="center")
    return figure


def _curves(axes: Axes, bench: Bench) -> None:
    curves = [[100 * epoch.validation_accuracy for epoch in seed.epochs] for seed in bench.seeds]
    epochs = range(1, bench.recipe.epochs + 1)
    for curve in curves:
        axes.plot(epochs, curve, color=BLUE, linewidth=0.6, alpha=0.4)
    mean = [sum(values) / len(values) for values in zip(*curves, strict=True)]
    axes.plot(epochs, mean, color=BLUE, linewidth=2.4, marker="o", markersize=4, zorder=3)
    lower = lower_end(curves)
    axes.set_ylim(lower, 100)
    axes.set_xlim(0.6, bench.recipe.epochs + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    many = "each seed (thin) and their mean (bold)" if len(curves) > 1 else "one seed"
    axes.set_title(f"validation accuracy, {many}", fontsize=FONT_POINTS, color=INK, loc="left")
    axes.set_xlabel("epoch", fontsize=FONT_POINTS)
    _frame(axes)
    _target(axes)


def _last_epochs(axes: Axes, bench: Bench) -> None:
    """Accuracies are whole numbers of images, so seeds with equal accuracy are drawn side by side."""
    last, statistics = bench.last, bench.statistics
    seen: Counter[float] = Counter()
    for value in last:
        seen[value] += 1
        above = reaches_target(value)
        # A filled dot reaches the target, an open one does not: colour is not needed.
        axes.plot(
            [seen[value]],
            [100 * value],
            marker="o",
            markersize=6,
            color=BLUE if above else VERMILION,
            markerfacecolor=BLUE if above else "white",
            linestyle="none",
        )
    widest = max(seen.values())
    place = -0.12 * max(widest, 4)
    mean = statistics.summary.last.mean
    if statistics.interval is not None:
        low, high = statistics.interval
        axes.plot([place, place], [100 * low, 100 * high], color=INK, linewidth=2, solid_capstyle="butt")
    axes.plot([place], [100 * mean], marker="D", markersize=6, color=INK, linestyle="none")
    axes.set_xlim(2.2 * place, max(widest, 4) + 0.6)
    edges = [*last, TARGET_ACCURACY, *(statistics.interval or ())]
    margin = MARGIN * (max(edges) - min(edges)) or MARGIN / 100
    axes.set_ylim(100 * (min(edges) - margin), 100 * (max(edges) + margin))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xticks([tick for tick in axes.get_xticks() if tick >= 1])
    axes.set_xlabel("seeds with that accuracy (◆: mean, 95% interval)", fontsize=FONT_POINTS)
    summary = statistics.summary
    axes.set_title(
        f"last epoch: {summary.last}\n{summary.reached_at_last} of {summary.n} at or above the target",
        fontsize=FONT_POINTS,
        color=INK,
        loc="left",
    )
    _frame(axes)
    _target(axes)


def _target(axes: Axes) -> None:
    height = 100 * TARGET_ACCURACY
    axes.axhline(height, color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1.5)
    axes.annotate(
        f"target {percent(TARGET_ACCURACY)}",
        (1, height),
        (-4, -3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=FONT_POINTS,
        ha="right",
        va="top",
    )


def _frame(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}%")
    axes.tick_params(labelsize=FONT_POINTS, color=FAINT, labelcolor=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
