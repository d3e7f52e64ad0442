"""Training curves: accuracy by epoch, the target, the learning-rate drops, the final values.

Line style, marker and a label at its end tell the curves apart, so that colour is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from under20k.files import write_bytes
from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.recipe.recipe import Recipe
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
    default_style,
    new_figure,
    png,
)
from under20k.report.words import plural
from under20k.runs.bench.statistics import Sample
from under20k.runs.metrics import EpochMetrics, learning_rate_drops

WIDTH_IN, HEIGHT_IN = 8.0, 5.0
LEFT, RIGHT, BOTTOM, TOP = 0.105, 0.795, 0.16, 0.9  # of the figure; the axes' edges
FONT_POINTS = 9.5
LINE_HEIGHT = 1.3  # of the font's size
TITLE_WIDTH = 66  # characters a line
MARKERS = 25  # on a line, at most
LABELLED_DROPS = 2  # more labels would cover each other

# Lower ends of the axis, in per cent: the first that leaves no epoch but the first below it.
LOWER_ENDS = (98, 97, 96, 95, 90, 80, 60, 0)
HEADROOM = 0.01  # of the axis' range, above 100%


@dataclass(frozen=True)
class Series:
    """One of the two curves. Accuracies in per cent."""

    name: str
    seeds: list[list[float]]
    """Each seed's accuracies, epoch by epoch."""
    colour: str
    line: str
    marker: str
    marker_face: str

    @property
    def samples(self) -> list[Sample]:
        """The seeds' accuracies at each epoch, as fractions."""
        return [Sample.of([value / 100 for value in epoch]) for epoch in zip(*self.seeds, strict=True)]

    @property
    def centre(self) -> list[float]:
        """The mean over the seeds at each epoch, in per cent."""
        return [100 * sample.mean for sample in self.samples]

    @property
    def label(self) -> str:
        """Name and final value."""
        return f"{self.name}\n{self.samples[-1]}"


def draw_curves(metrics: Sequence[EpochMetrics], recipe: Recipe, path: Path) -> None:
    """Draw one run's curves as PNG at ``path``. Raises UserError where it cannot be written."""
    write_bytes(path, png(curves_figure([metrics], recipe)))


def draw_seed_curves(runs: Sequence[Sequence[EpochMetrics]], recipe: Recipe, path: Path) -> None:
    """Draw several seeds' curves, each thin and their mean bold, as PNG at ``path``.

    Raises UserError where it cannot be written.
    """
    write_bytes(path, png(curves_figure(runs, recipe)))


def curves_figure(runs: Sequence[Sequence[EpochMetrics]], recipe: Recipe) -> Figure:
    """Draw the curves of one run or more of a recipe, all with the same number of epochs, at least one."""
    training = Series(
        "training", [[100 * e.train_accuracy for e in run] for run in runs], VERMILION, "--", "s", "white"
    )
    validation = Series(
        "validation", [[100 * e.validation_accuracy for e in run] for run in runs], BLUE, "-", "o", BLUE
    )
    with default_style():
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = figure.add_axes((LEFT, BOTTOM, RIGHT - LEFT, TOP - BOTTOM))
        lower = lower_end([*training.seeds, *validation.seeds])
        _frame(axes, lower, epochs=len(runs[0]))
        _target(axes)
        _drops(axes, learning_rate_drops(recipe, runs[0]), lower)
        for series in (training, validation):
            _draw(axes, series)
        _final_values(axes, [training, validation], lower)
        _below(figure, axes, [training, validation], lower)
        title = f"{recipe.name}: {plural(recipe.architecture.parameters, 'parameter')}"
        if len(runs) > 1:
            title += f", {len(runs)} seeds (thin), mean (bold)"
        title = "\n".join(wrap(title, TITLE_WIDTH, max_lines=2, placeholder=" …"))
        # Names are a user's: no "$" in them starts a formula.
        axes.set_title(title, loc="left", fontsize=11.5, color=INK, pad=10, parse_math=False)
    return figure


def lower_end(curves: Sequence[Sequence[float]]) -> float:
    """Return where the axis starts, in per cent, for curves of accuracies in per cent.

    The first epoch is far below the others and would compress them: it may fall below the axis.
    """
    shown = [value for curve in curves for value in (curve[1:] or curve)]
    return next(end for end in LOWER_ENDS if end <= min(shown))


def spread(values: Sequence[float], gap: float, top: float) -> list[float]:
    """Return heights for labels: ``gap`` apart, none above ``top``, each as near its value as order allows.

    Labels at the same height would cover each other.
    """
    placed = [0.0] * len(values)
    ceiling = top
    for index in sorted(range(len(values)), key=lambda i: -values[i]):
        placed[index] = min(values[index], ceiling)
        ceiling = placed[index] - gap
    return placed


def _frame(axes: Axes, lower: float, epochs: int) -> None:
    axes.set_xlim(0.6, epochs + 0.4)
    axes.set_ylim(lower, 100 + HEADROOM * (100 - lower))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=11, steps=[1, 2, 5, 10]))
    decimals = 1 if lower >= 95 else 0
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.{decimals}f}%"))
    axes.set_xlabel("epoch", fontsize=FONT_POINTS + 1)
    axes.set_ylabel("accuracy", fontsize=FONT_POINTS + 1)
    axes.tick_params(labelsize=FONT_POINTS, color=FAINT, labelcolor=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def _target(axes: Axes) -> None:
    height = 100 * TARGET_ACCURACY
    axes.axhline(height, color=INK, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1.5)
    axes.annotate(
        f"target {percent(TARGET_ACCURACY, 1)}",
        (0, height),
        (5, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=FONT_POINTS,
    )


def _drops(axes: Axes, falls: Sequence[tuple[EpochMetrics, EpochMetrics]], lower: float) -> None:
    for before, after in falls:
        between = (before.epoch + after.epoch) / 2
        axes.axvline(between, color=FAINT, linewidth=1, linestyle="-.", zorder=1.5)
        if len(falls) <= LABELLED_DROPS:
            axes.annotate(
                f"learning rate\n{before.learning_rate:g} → {after.learning_rate:g}",
                (between, lower),
                (5, 6),
                textcoords="offset points",
                fontsize=FONT_POINTS,
                color=FAINT,
            )


def _draw(axes: Axes, series: Series) -> None:
    epochs = range(1, len(series.seeds[0]) + 1)
    if len(series.seeds) > 1:
        for seed in series.seeds:
            axes.plot(epochs, seed, color=series.colour, linestyle=series.line, linewidth=0.6, alpha=0.4)
    axes.plot(
        epochs,
        series.centre,
        color=series.colour,
        linestyle=series.line,
        linewidth=2.4 if len(series.seeds) > 1 else 1.8,
        marker=series.marker,
        markersize=5.5,
        markerfacecolor=series.marker_face,
        markevery=-(-len(epochs) // MARKERS),
        zorder=3,
    )


def _final_values(axes: Axes, curves: Sequence[Series], lower: float) -> None:
    """Write name and last value to the right of each curve's end, a thin line to labels that had to move."""
    height_points = 72 * HEIGHT_IN * (TOP - BOTTOM)
    bottom, top = axes.get_ylim()
    label_height = 2 * LINE_HEIGHT * FONT_POINTS * (top - bottom) / height_points
    ends = [max(series.centre[-1], lower + label_height) for series in curves]
    last = len(curves[0].centre)
    for series, height in zip(curves, spread(ends, label_height, top), strict=True):
        axes.annotate(
            series.label,
            (last, series.centre[-1]),
            (1.035, height),
            textcoords=("axes fraction", "data"),
            arrowprops={
                "arrowstyle": "-",
                "color": series.colour,
                "linewidth": 0.7,
                "shrinkA": 2,
                "shrinkB": 4,
            },
            annotation_clip=False,
            verticalalignment="center",
            fontsize=FONT_POINTS,
            linespacing=1.15,
            color=series.colour,
        )


def _below(figure: Figure, axes: Axes, curves: Sequence[Series], lower: float) -> None:
    """Mark values below the axis: a triangle at its edge, and the value in a line below the figure."""
    hidden = [series for series in curves if series.centre[0] < lower]
    for index, series in enumerate(hidden):
        # Side by side, or one triangle would cover the other.
        aside = 0.02 * len(series.centre) * (index - (len(hidden) - 1) / 2)
        axes.plot(
            [1 + aside], [lower], marker="v", markersize=8, color=series.colour, clip_on=False,
            linestyle="none", zorder=4,
        )  # fmt: skip
    if hidden:
        values = ", ".join(f"{series.name} {percent(series.samples[0].mean)}" for series in hidden)
        figure.text(LEFT, 0.025, f"▼ epoch 1, below the axis: {values}", fontsize=FONT_POINTS, color=FAINT)
