"""The axis of accuracies: about the target; the early epochs far below it are written under it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.report.figures import (
    DOTTED,
    MEDIUM,
    SMALL_PT,
    TEXT_PT,
    Axes,
    MaxNLocator,
    Theme,
)
from under20k.report.layout import axes_in, figure_of, size_in

TARGET = 100 * TARGET_ACCURACY
LOWER = (99.2, 99.0, 98.8, 98.5, 98, 97, 96, 95, 90, 80, 60, 40, 20, 0)  # in per cent, as all below
UPPER = (99.6, 99.7, 99.8, 99.9, 100)
CLEAR = 0.04  # of the range, between a value and the end of the axis
LAST_EPOCHS = 3  # the last third of the epochs, two at least, lies on the axis
TICKS = 12  # epochs with a number, at most
HEADING_PT = 5.5  # below the axis: half a tick's label
ROW_PT = 11.0  # height of a row of values below the axis
LEFT_IN = 1.1  # of the axes: for the ticks' labels and the headings of the rows


def axis_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis with the target and these accuracies, all in per cent."""
    least, most = min(values), max(values)
    upper = next((end for end in UPPER if most + CLEAR * (end - min(least, 99.2)) <= end), 100.0)
    lower = next((end for end in LOWER if least - CLEAR * (upper - end) >= end), 0.0)
    return (lower, upper) if lower else (-CLEAR * 100, 100 * (1 + CLEAR))


def shown_epochs(curve: Sequence[float]) -> Sequence[float]:
    """Return the epochs of a curve that the axis must have: the last third, two at least."""
    return curve[-max(2, len(curve) // LAST_EPOCHS) :]


def draw_accuracy_axis(axes: Axes, ends: tuple[float, float], theme: Theme, *, written: bool = True) -> None:
    """Set range and ticks of the vertical axis, and draw the target as a line and as a tick's label.

    Args:
        axes: In a figure of its final size.
        ends: Of ``axis_range``.
        theme: Colours.
        written: Whether the ticks have labels.
    """
    axes.set_ylim(*ends)
    axes.axhline(TARGET, color=theme.ink, linewidth=MEDIUM, linestyle=DOTTED, zorder=1.5)
    locator = MaxNLocator(nbins=8, steps=[1, 2, 5, 10])
    apart = 2.1 * TEXT_PT * (ends[1] - ends[0]) / (72 * axes_in(axes)[1])
    all_ticks = [float(tick) for tick in locator.tick_values(*ends)]
    step = all_ticks[1] - all_ticks[0]
    ticks = [tick for tick in all_ticks if ends[0] - 1e-9 <= tick <= min(ends[1], 100) + 1e-9]
    ticks = [*(tick for tick in ticks if abs(tick - TARGET) > apart), TARGET]
    decimals = 0 if step >= 0.999 else 1 if step >= 0.0999 else 2
    names = [f"{tick:.{decimals}f}%" for tick in ticks[:-1]]
    axes.set_yticks(ticks, [*names, f"target\n{percent(TARGET_ACCURACY)}"], linespacing=1.1)
    axes.yaxis.get_major_ticks()[len(ticks) - 1].gridline.set_visible(False)
    if written:
        axes.get_yticklabels()[-1].set_fontweight("bold")
    else:
        axes.tick_params(axis="y", labelleft=False, left=False)


def draw_epoch_axis(axes: Axes, epochs: int, rows: int) -> None:
    """Set range and ticks of the horizontal axis, with room for rows of values above the ticks' labels."""
    axes.set_xlim(0.5, epochs + 0.5)
    axes.set_xticks(range(1, epochs + 1, -(-epochs // TICKS)))
    axes.tick_params(axis="x", pad=HEADING_PT + ROW_PT * rows)
    axes.set_xlabel("epoch", labelpad=2)


def below_axis(means: Mapping[str, Sequence[float]], lower: float) -> dict[str, dict[int, float]]:
    """Return by curve's name the values below the axis, by epoch; only of curves that have any."""
    below = {
        name: {epoch: value for epoch, value in enumerate(curve, 1) if value < lower}
        for name, curve in means.items()
    }
    return {name: values for name, values in below.items() if values}


def draw_below_axis(axes: Axes, rows: Mapping[str, Mapping[int, float]], colours: Mapping[str, str]) -> None:
    """Write the values of ``below_axis`` under the axis, a row a curve; of dense ones, not every one."""
    low, high = axes.get_xlim()
    epoch_in = axes_in(axes)[0] / (high - low)
    each = int(axes.get_xticks()[1] - axes.get_xticks()[0]) if len(axes.get_xticks()) > 1 else 1
    for row, (name, values) in enumerate(rows.items()):
        style: dict[str, Any] = {
            "color": colours[name],
            "fontsize": SMALL_PT,
            "va": "center",
            "annotation_clip": False,
        }
        y = -HEADING_PT - ROW_PT * (row + 0.5)
        axes.annotate(
            f"▼ {name}", (0, 0), (-6, y), "axes fraction", textcoords="offset points", ha="right", **style
        )
        texts = {epoch: f"{value:.2f}" for epoch, value in values.items()}
        widest_in = max(size_in(figure_of(axes), text, SMALL_PT)[0] for text in texts.values())
        # The first value begins right of the axis' line, so that it does not touch the heading.
        aside_in = max(0.0, (widest_in - epoch_in) / 2)
        every = each * math.ceil((widest_in + aside_in + 3 / 72) / (each * epoch_in))
        for epoch, text in texts.items():
            if epoch % every == 1 % every:
                axes.annotate(
                    text, (epoch, 0), (72 * aside_in * (epoch == 1), y), ("data", "axes fraction"),
                    textcoords="offset points", ha="center", **style,
                )  # fmt: skip
