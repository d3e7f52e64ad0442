"""Training curves: accuracy by epoch, the target, the learning-rate drops, the final values.

Line style, marker and a label at its end tell the curves apart, so that colour is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from under20k.recipe.recipe import Recipe
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
    DASHED,
    FINE,
    LIGHT,
    MARKER,
    MEDIUM,
    SMALL_PT,
    TEXT_PT,
    THIN,
    Axes,
    Figure,
    Text,
    Theme,
    default_style,
)
from under20k.report.layout import figure_of, laid_out, line_in, size_in
from under20k.report.words import plural
from under20k.runs.bench.statistics import Sample
from under20k.runs.metrics import EpochMetrics, learning_rate_drops

AXES_IN = 2.8  # height
RIGHT_IN = 1.5  # beside the axes, for names and final values
TICKS_IN = 0.48  # below the axes, for the epochs and their name
ABOVE_IN = 0.05 + 2 * line_in(SMALL_PT)  # for what the learning rate drops to
MARKERS = 25  # on a line, at most
LABELLED_DROPS = 2  # more labels would cover each other


@dataclass(frozen=True)
class Series:
    """One of the two curves. Accuracies in per cent."""

    name: str
    seeds: list[list[float]]
    """Each seed's accuracies, epoch by epoch."""
    colour: str
    line: str | tuple[float, tuple[float, float]]
    marker: str
    marker_face: str

    @cached_property
    def samples(self) -> list[Sample]:
        """The seeds' accuracies at each epoch, as fractions."""
        return [Sample.of([value / 100 for value in epoch]) for epoch in zip(*self.seeds, strict=True)]

    @cached_property
    def centre(self) -> list[float]:
        """The mean over the seeds at each epoch, in per cent."""
        return [100 * sample.mean for sample in self.samples]

    @property
    def label(self) -> str:
        """Name and final value."""
        return f"{self.name}\n{self.samples[-1]}"


def curves_figure(runs: Sequence[Sequence[EpochMetrics]], recipe: Recipe, theme: Theme = LIGHT) -> Figure:
    """Draw the curves of one run or more of a recipe, all with the same number of epochs, at least one."""
    curves = [
        Series(
            "training", [[100 * e.train_accuracy for e in run] for run in runs],
            theme.accent, DASHED, "s", theme.page,
        ),
        Series(
            "validation", [[100 * e.validation_accuracy for e in run] for run in runs],
            theme.blue, "-", "o", theme.blue,
        ),
    ]  # fmt: skip
    # The validation's last epochs, and every seed's last value, lie on the axis.
    last = [seed[-1] for series in curves for seed in series.seeds]
    ends = axis_range([*last, *shown_epochs(curves[1].centre)])
    below = below_axis({series.name: series.centre for series in curves}, ends[0])
    with default_style(theme, recipe.name):
        below_in = TICKS_IN + ROW_PT / 72 * len(below)
        layout = laid_out(theme, recipe.name, [_facts(runs, recipe)], ABOVE_IN + AXES_IN + below_in)
        axes = layout.axes(LEFT_IN, RIGHT_IN, ABOVE_IN, below_in)
        draw_accuracy_axis(axes, ends, theme)
        draw_epoch_axis(axes, len(runs[0]), len(below))
        draw_below_axis(axes, below, {series.name: series.colour for series in curves})
        _drops(axes, learning_rate_drops(recipe, runs[0]), theme)
        for series in curves:
            _draw(axes, series)
        _final_values(axes, curves)
    return layout.figure


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


def _facts(runs: Sequence[Sequence[EpochMetrics]], recipe: Recipe) -> str:
    facts = f"{plural(recipe.architecture.parameters, 'parameter')}, accuracy by epoch"
    return facts if len(runs) == 1 else f"{facts}, {len(runs)} seeds (thin), mean (bold)"


def _drops(axes: Axes, falls: Sequence[tuple[EpochMetrics, EpochMetrics]], theme: Theme) -> None:
    """Draw a line at each drop of the learning rate, and above the axes its values, if they have room."""
    written = []
    for before, after in falls:
        between = (before.epoch + after.epoch) / 2
        axes.axvline(between, color=theme.faint, linewidth=THIN, linestyle="-.", zorder=1.5)
        if len(falls) <= LABELLED_DROPS:
            written.append(
                axes.annotate(
                    f"learning rate\n{before.learning_rate:g} → {after.learning_rate:g}",
                    (between, 1),
                    (0, 3),
                    xycoords=("data", "axes fraction"),
                    textcoords="offset points",
                    fontsize=SMALL_PT,
                    color=theme.faint,
                    ha="center",
                )
            )
    boxes = [Text.get_window_extent(text) for text in written]
    if any(one.padded(2).overlaps(other) for one, other in pairwise(boxes)):
        for text in written:
            text.remove()


def _draw(axes: Axes, series: Series) -> None:
    epochs = range(1, len(series.seeds[0]) + 1)
    several = len(series.seeds) > 1
    if several:
        for seed in series.seeds:
            axes.plot(epochs, seed, color=series.colour, linestyle=series.line, linewidth=FINE, alpha=0.45)
    axes.plot(
        epochs,
        series.centre,
        color=series.colour,
        linestyle=series.line,
        linewidth=BOLD if several else MEDIUM,
        marker=series.marker,
        markersize=MARKER,
        markerfacecolor=series.marker_face,
        markevery=-(-len(epochs) // MARKERS),
        zorder=3,
    )


def _final_values(axes: Axes, curves: Sequence[Series]) -> None:
    """Write name and last value to the right of each curve's end, a thin line to labels that had to move."""
    bottom, top = axes.get_ylim()
    label_height = 1.1 * size_in(figure_of(axes), "Label\nLabel", TEXT_PT)[1] * (top - bottom) / AXES_IN
    ends = [max(series.centre[-1], bottom + 1.5 * label_height) for series in curves]
    last = len(curves[0].centre)
    for series, height in zip(curves, spread(ends, label_height, top), strict=True):
        axes.annotate(
            series.label,
            (last, series.centre[-1]),
            (1.05, height),
            textcoords=("axes fraction", "data"),
            arrowprops={
                "arrowstyle": "-",
                "color": series.colour,
                "linewidth": THIN,
                "shrinkA": 2,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
            verticalalignment="center",
            linespacing=1.15,
            color=series.colour,
        )
