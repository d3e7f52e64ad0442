"""The names in the picture of a leaderboard: each where it covers nothing, or a number and a key below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from under20k.report.accuracy_axis import TARGET
from under20k.report.anchors import Anchor
from under20k.report.figures import MARKER, SMALL_PT, THIN, Axes, Figure, Theme
from under20k.report.layout import axes_in, figure_of, size_in
from under20k.report.placement import Obstacles, leader, place
from under20k.runs.leaderboard import Entry, pareto

NAME_PT, NUMBER_PT = 32.0, 90.0  # distance of a name or number from its point, at most


@dataclass(frozen=True)
class Label:
    """A name, and the point that it names: its number of parameters, and its height in per cent."""

    text: str
    x: float
    y: float
    anchor: bool = False


def numbered(
    axes: Axes, wanted: Sequence[Label], entries: Sequence[Entry], anchors: Sequence[Anchor]
) -> list[str]:
    """Return a text for each label: its name, a number where that finds no place, "" where none does."""
    texts = [label.text for label in wanted]
    while True:
        centres = _centres(axes, wanted, texts, entries, anchors)
        failed = [i for i, centre in enumerate(centres) if centre is None and texts[i]]
        names = [i for i in failed if texts[i] == wanted[i].text]
        if not failed:
            return texts
        for index in names or failed:
            texts[index] = "number" if names else ""
        numbers = [i for i, text in enumerate(texts) if text not in ("", wanted[i].text)]
        for number, index in enumerate(numbers, 1):
            texts[index] = str(number)


def draw_names(
    axes: Axes,
    wanted: Sequence[Label],
    texts: Sequence[str],
    entries: Sequence[Entry],
    anchors: Sequence[Anchor],
    theme: Theme,
) -> None:
    """Write the names where they cover nothing, with a line to those that lie apart from their points."""
    width_pt, height_pt = _size_pt(axes)
    sizes = _sizes(figure_of(axes), texts)
    places = _centres(axes, wanted, texts, entries, anchors)
    for label, text, size, centre in zip(wanted, texts, sizes, places, strict=True):
        if centre is None:
            continue
        axes.text(
            centre[0] / width_pt,
            centre[1] / height_pt,
            text,
            transform=axes.transAxes,
            fontsize=SMALL_PT,
            color=theme.accent if label.anchor else theme.ink,
            ha="center",
            va="center",
            # Over the grid, which would strike it through.
            bbox={"facecolor": theme.page, "edgecolor": "none", "pad": 0.5},
            zorder=1.2,
        )
        line = leader(_point_pt(axes, label.x, label.y), centre, size)
        if line is not None:
            axes.plot(
                [line[0] / width_pt, line[2] / width_pt],
                [line[1] / height_pt, line[3] / height_pt],
                transform=axes.transAxes,
                color=theme.accent if label.anchor else theme.faint,
                linewidth=THIN * 0.75,
                zorder=1.3,
            )


def _centres(
    axes: Axes,
    wanted: Sequence[Label],
    texts: Sequence[str],
    entries: Sequence[Entry],
    anchors: Sequence[Anchor],
) -> list[tuple[float, float] | None]:
    """Return the centre of each text's place in points from the axes' corner; None without one or a text."""
    lower, upper = axes.get_ylim()
    width_pt, height_pt = _size_pt(axes)
    spots = [(anchor.parameters, 100 * anchor.accuracy) for anchor in anchors]
    spots += [(entry.parameters, max(100 * entry.validation.mean, lower)) for entry in entries]
    half = MARKER / 2 + 1.5
    boxes = [(x - half, y - half, x + half, y + half) for x, y in (_point_pt(axes, *spot) for spot in spots)]
    lines = [((axes.get_xlim()[0], TARGET), (axes.get_xlim()[1], TARGET))]
    front = [(entry.parameters, 100 * entry.validation.mean) for entry in pareto(entries)]
    for (x, y), (after_x, after_y) in pairwise(front):
        lines += [((x, y), (after_x, y)), ((after_x, y), (after_x, after_y))]
    for entry in entries:
        if entry.statistics.interval:
            low, high = (100 * end for end in entry.statistics.interval)
            lines.append(((entry.parameters, low), (entry.parameters, high)))
    segments = [
        (*_point_pt(axes, x, min(max(y, lower), upper)), *_point_pt(axes, x2, min(max(y2, lower), upper)))
        for (x, y), (x2, y2) in lines
    ]
    obstacles = Obstacles((3.0, 3.0, width_pt - 1, height_pt - 1), boxes, segments)
    written = [(text, label) for text, label in zip(texts, wanted, strict=True) if text]
    points = [_point_pt(axes, label.x, label.y) for _, label in written]
    reaches = [NAME_PT if text == label.text else NUMBER_PT for text, label in written]
    placed = iter(place(points, _sizes(figure_of(axes), [text for text, _ in written]), obstacles, reaches))
    return [next(placed) if text else None for text in texts]


def _sizes(figure: Figure, texts: Sequence[str]) -> list[tuple[float, float]]:
    """Return the texts' widths and heights in points."""
    height_pt = 72 * size_in(figure, "|g", SMALL_PT)[1]
    return [(72 * size_in(figure, text, SMALL_PT)[0], height_pt) for text in texts]


def _size_pt(axes: Axes) -> tuple[float, float]:
    width_in, height_in = axes_in(axes)
    return 72 * width_in, 72 * height_in


def _point_pt(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Return where a number of parameters and an accuracy lie, in points from the axes' corner."""
    across, up = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
    width_pt, height_pt = _size_pt(axes)
    return float(across) * width_pt, float(up) * height_pt
