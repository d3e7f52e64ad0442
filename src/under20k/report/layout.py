"""A figure laid out in inches: title and notes above, axes, a key below; as tall as they need.

Texts are wrapped and shortened by their drawn width, so that nothing leaves the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from under20k.formatting import shortened
from under20k.report.figures import (
    SMALL_PT,
    TEXT_PT,
    TITLE_PT,
    WIDTH_IN,
    Axes,
    Figure,
    Theme,
    drawable,
    new_figure,
)
from under20k.report.short_names import split_name

MARGIN_IN = 0.15  # about everything
LEADING = 1.4  # distance of two lines, in heights of the letters
SETTING_LINES, NAME_LINES, KEY_LINES = 5, 8, 40  # at most


@dataclass(frozen=True)
class Layout:
    """An empty figure between its header and its footer."""

    figure: Figure
    top_in: float
    """Height of the header's lower edge above the figure's."""
    bottom_in: float
    """Height of the footer's upper edge above the figure's."""

    def axes(self, left_in: float, right_in: float, above_in: float, below_in: float) -> Axes:
        """Add axes, by the distances of their edges from the figure's sides, the header and the footer."""
        width, height = self.figure.get_size_inches()
        bottom = self.bottom_in + below_in
        return self.figure.add_axes(
            (
                left_in / width,
                bottom / height,
                (width - left_in - right_in) / width,
                (self.top_in - above_in - bottom) / height,
            )
        )


def laid_out(
    theme: Theme, name: str, facts: Sequence[str], body_in: float, notes: Sequence[str] = ()
) -> Layout:
    """Return an empty figure with a title and notes. Call it within ``default_style``.

    Args:
        theme: Colours.
        name: The title: what changed settings it has is put below, in small text.
        facts: Lines below the title.
        body_in: Height of what lies between header and footer.
        notes: Lines in small text at the foot.
    """
    figure = new_figure(WIDTH_IN, 1)
    room = WIDTH_IN - 2 * MARGIN_IN
    title, settings = split_name(drawable(name))
    header = [(fitted(figure, title, room, TITLE_PT, "bold"), TITLE_PT, theme.ink, "bold")]
    if header[0][0] == title:
        small = filled_lines(figure, settings, room, SMALL_PT, SETTING_LINES, between="  ")
    else:
        small = filled_lines(figure, list(drawable(name)), room, SMALL_PT, NAME_LINES, between="")
    header += [(line, SMALL_PT, theme.faint, "normal") for line in small]
    header += [
        (line, TEXT_PT, theme.ink, "normal")
        for fact in facts
        for line in filled_lines(figure, fact.split(" "), room, TEXT_PT, 3)
    ]
    footer = [
        line for note in notes for line in filled_lines(figure, note.split(" "), room, SMALL_PT, KEY_LINES)
    ]
    header_in = MARGIN_IN + sum(line_in(points) for _, points, *_ in header)
    footer_in = MARGIN_IN + line_in(SMALL_PT) * len(footer)
    height = header_in + body_in + footer_in
    figure.set_size_inches(WIDTH_IN, height)
    x, y = MARGIN_IN / WIDTH_IN, height - MARGIN_IN
    for line, points, colour, weight in header:
        y -= line_in(points)
        figure.text(x, (y + 0.3 * points / 72) / height, line, fontsize=points, color=colour, weight=weight)
    for number, line in enumerate(reversed(footer)):
        at = MARGIN_IN + line_in(SMALL_PT) * (number + 0.3 / LEADING)
        figure.text(x, at / height, line, fontsize=SMALL_PT, color=theme.faint)
    return Layout(figure, height - header_in, footer_in)


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes of ``Layout.axes`` belong to."""
    assert isinstance(axes.figure, Figure)
    return axes.figure


def axes_in(axes: Axes) -> tuple[float, float]:
    """Return width and height of axes in inches."""
    box, (width, height) = axes.get_position(), figure_of(axes).get_size_inches()
    return float(box.width * width), float(box.height * height)


def line_in(points: float) -> float:
    """Return the height of a line of text, in inches."""
    return LEADING * points / 72


def size_in(figure: Figure, text: str, points: float, weight: str = "normal") -> tuple[float, float]:
    """Return width and height of a text, in inches, in the typefaces of ``default_style``."""
    probe = figure.text(0, 0, text, fontsize=points, fontweight=weight)
    box = probe.get_window_extent()
    probe.remove()
    return box.width / figure.dpi, box.height / figure.dpi


def filled_lines(
    figure: Figure, items: Sequence[str], width_in: float, points: float, lines: int, between: str = " "
) -> list[str]:
    """Return items in lines of at most a width; what finds no room is left out, and counted.

    Args:
        figure: Where the text will stand.
        items: Never broken, but for one that is too wide alone: its middle is left out.
        width_in: Of a line.
        points: Of the text.
        lines: At most.
        between: Two items of a line.
    """
    filled: list[list[str]] = []
    for index, item in enumerate(items):
        whole = fitted(figure, item, width_in, points)
        if filled and size_in(figure, between.join([*filled[-1], whole]), points)[0] <= width_in:
            filled[-1].append(whole)
        elif len(filled) < lines:
            filled.append([whole])
        else:
            left_out = len(items) - index
            while size_in(figure, between.join([*filled[-1], _more(left_out)]), points)[0] > width_in:
                filled[-1].pop()
                left_out += 1
            filled[-1].append(_more(left_out))
            break
    return [between.join(line) for line in filled]


def _more(count: int) -> str:
    return f"… and {count} more"


def fitted(figure: Figure, text: str, width_in: float, points: float, weight: str = "normal") -> str:
    """Return the text, its middle left out where it is wider than ``width_in``: both ends may differ."""

    def fits(length: int) -> bool:
        return size_in(figure, shortened(text, length), points, weight)[0] <= width_in

    if fits(len(text)):
        return text
    low, high = 1, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return shortened(text, low)
