"""Where the texts, markers and lines of a figure lie, by Matplotlib's own renderer, in pixels."""

import itertools
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

TOUCHING = 0.75
"""Pixels by which two boxes may overlap: letters do not fill theirs."""


def texts_of(figure: Figure) -> list[str]:
    """Every text that is drawn."""
    return [text.get_text() for text, _ in boxes(figure)]


def boxes(figure: Figure) -> list[tuple[Text, Bbox]]:
    """Every text that is drawn, with its box."""
    figure.draw_without_rendering()
    found = []
    for text in dict.fromkeys(_texts(figure)):
        if text.get_visible() and text.get_text().strip():
            # The text alone: an annotation's own extent includes its line.
            found.append((text, Text.get_window_extent(text, figure.canvas.get_renderer())))
    return found


def _texts(figure: Figure) -> Iterator[Text]:
    """Texts, without the labels of ticks that are not drawn: Matplotlib keeps those beyond the axes' ends."""
    hidden = set()
    for axes in figure.axes:
        for axis, off in ((axes.xaxis, not axes.axison), (axes.yaxis, not axes.axison)):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if off or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    return (text for text in figure.findobj(Text) if text not in hidden)


def assert_readable(figure: Figure) -> None:
    """No text leaves the figure, and none lies on another."""
    canvas, placed = figure.bbox, boxes(figure)
    for text, box in placed:
        inside = canvas.x0 <= box.x0 and canvas.y0 <= box.y0 and box.x1 <= canvas.x1 and box.y1 <= canvas.y1
        assert inside, f"{text.get_text()!r} leaves the figure"
    for (one, first), (other, second) in itertools.combinations(placed, 2):
        assert not covered(first, second), f"{one.get_text()!r} overlaps {other.get_text()!r}"


def covered(one: Bbox, other: Bbox) -> bool:
    """Whether two boxes overlap by more than a hair."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > TOUCHING and height > TOUCHING)


def struck(figure: Figure, box: Bbox) -> list[Line2D]:
    """The lines and markers of a figure that go through a box, clipped to their axes; the grid is not one."""
    found = []
    for axes in figure.axes:
        for line in axes.lines:
            path = line.get_transform().transform_path(line.get_path())
            points = np.array([point for point, _ in path.iter_segments(simplify=False)])
            if line.get_linestyle() not in ("None", "none"):
                steps = np.linspace(0, 1, 200)[:, None, None]
                points = (points[None, :-1] * (1 - steps) + points[None, 1:] * steps).reshape(-1, 2)
            x, y = points[:, 0], points[:, 1]
            inside = (box.x0 + 1 < x) & (x < box.x1 - 1) & (box.y0 + 1 < y) & (y < box.y1 - 1)
            clip = axes.bbox
            inside &= (clip.x0 <= x) & (x <= clip.x1) & (clip.y0 <= y) & (y <= clip.y1)
            if inside.any():
                found.append(line)
    return found
