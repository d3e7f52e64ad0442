"""README's picture: validation accuracy against seconds of training, for each contender of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.report.figures import (
    BOLD,
    DOTTED,
    LIGHT,
    MARKER,
    MEDIUM,
    SMALL_PT,
    TITLE_PT,
    WIDTH_IN,
    Axes,
    Figure,
    Theme,
    default_style,
    new_figure,
)
from under20k.runs.bench.bench import Bench

HEIGHT_IN = 3.5
LEFT = 0.02  # of the figure
LOWEST, HEADROOM = 98.0, 0.12  # the axis's lower end, and its room above the curves, in per cent
TICKS = (98.0, 98.5, 99.0, 100 * TARGET_ACCURACY)
TIMED = "minimal"
"""The recipe whose epochs the benchmark times."""
OURS, EAGER, SCRIPT = "native fp32", "torch eager", "plain script"
LABELS = {OURS: "under20k", EAGER: "PyTorch, data in one tensor", SCRIPT: "PyTorch, DataLoader"}
# Where the curves leave room for a label: the point beside it, by index, its distance in points, its edge.
PLACES = {OURS: (-1, (9, 5), "left"), EAGER: (-3, (-9, 1), "right"), SCRIPT: (2, (9, -7), "left")}


def seconds_figure(bench: Bench, benchmark: Mapping[str, Any], theme: Theme = LIGHT) -> Figure:
    """Draw mean validation accuracy by epoch, for each contender at the seconds that its epochs take.

    Args:
        bench: Seeds of a recipe with the architecture that the benchmark times.
        benchmark: What ``make benchmark`` measured.
        theme: Colours.
    """
    epoch_s = epoch_times_s(benchmark)
    curve = [100 * bench.validation(epoch).mean for epoch in range(1, bench.recipe.epochs + 1)]
    with default_style(theme):
        figure = new_figure(WIDTH_IN, HEIGHT_IN)
        axes = figure.add_axes((0.105, 0.15, 0.87, 0.62))
        axes.set_xlim(0, 1.04 * len(curve) * max(epoch_s.values()))
        axes.set_ylim(LOWEST, max(*curve, 100 * TARGET_ACCURACY) + HEADROOM)
        axes.set_yticks(TICKS, [f"{tick:.1f}%" for tick in TICKS])
        axes.set_xlabel("seconds of training on two CPU cores")
        axes.axhline(100 * TARGET_ACCURACY, color=theme.ink, linewidth=MEDIUM, linestyle=DOTTED)
        for name, colour in zip(LABELS, (theme.blue, theme.accent, theme.faint), strict=True):
            _draw(axes, name, [epoch_s[name] * epoch for epoch in range(1, len(curve) + 1)], curve, colour)
        title, facts = heading(bench, benchmark)
        figure.text(LEFT, 0.93, title, fontsize=TITLE_PT, fontweight="bold", va="center")
        figure.text(LEFT, 0.85, facts, fontsize=SMALL_PT, color=theme.faint, va="center")
    return figure


def _draw(axes: Axes, name: str, seconds: list[float], curve: list[float], colour: str) -> None:
    """Draw a contender's curve and its label."""
    axes.plot(seconds, curve, color=colour, linewidth=BOLD, marker="o", markersize=MARKER)
    at, distance, edge = PLACES[name]
    axes.annotate(
        f"{LABELS[name]}: {seconds[-1]:.0f} s",
        (seconds[at], curve[at]),
        distance,
        textcoords="offset points",
        ha=edge,
        va="center",
        color=colour,
        fontweight="bold" if name == OURS else "normal",
    )


def heading(bench: Bench, benchmark: Mapping[str, Any]) -> tuple[str, str]:
    """Return the title, and the line below it: recipe, seeds, processor."""
    recipe, machine = bench.recipe, benchmark["parts"]["machine"]
    processor = f"{machine['processor']}, {machine['native_instruction_set'].upper()}"
    parameters = f"{recipe.architecture.parameters:,} parameters"
    seeds = f"mean over {len(bench.seeds)} seeds at each epoch"
    return (
        f"{percent(bench.summary.last.mean)} validation accuracy with {parameters}",
        f"{recipe.name}, {recipe.epochs} epochs: {seeds}; {processor}",
    )


def alternative(bench: Bench, benchmark: Mapping[str, Any]) -> str:
    """Return the picture in a sentence, for who does not see it."""
    epochs, epoch_s = bench.recipe.epochs, epoch_times_s(benchmark)
    times = ", ".join(f"{label} {epochs * epoch_s[name]:.0f} s" for name, label in LABELS.items())
    return f"{heading(bench, benchmark)[0]}, {epochs} epochs on two CPU cores: {times}"


def epoch_times_s(benchmark: Mapping[str, Any]) -> dict[str, float]:
    """Return the median seconds of an epoch on two threads, by contender."""
    times_s = benchmark["parts"]["epoch"]["recipes"][TIMED]["times_s"]
    return {name: median(times_s[name]) for name in LABELS}
