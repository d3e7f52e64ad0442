"""Figures by Matplotlib's object API, without its global state: themes, sizes, reproducible PNGs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from under20k.report.fonts import drawable, families, matplotlib, quiet

from matplotlib.axes import Axes  # isort: skip
from matplotlib.backends.backend_agg import FigureCanvasAgg  # isort: skip
from matplotlib.figure import Figure  # isort: skip
from matplotlib.text import Text  # isort: skip
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator  # isort: skip

__all__ = ["Axes", "Figure", "FuncFormatter", "MaxNLocator", "NullLocator", "Text", "drawable", "matplotlib"]


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; all that a light and a dark one differ in."""

    page: str
    ink: str
    faint: str
    """Colour of axes and notes."""
    grid: str
    blue: str
    accent: str


# The pages' own colours, with Okabe and Ito's blue and vermilion: told apart by every kind of colour vision.
# On white both are darkened, on the dark page lightened, to a contrast of 4.5 or more.
LIGHT = Theme("#ffffff", "#1b1f24", "#59636e", "#e3e7eb", "#00538a", "#c04a00")
DARK = Theme("#14181c", "#e4e8ec", "#a3adb8", "#2c343c", "#6cb8f0", "#ff9a52")

DOTS_PER_INCH = 160
WIDTH_IN = 6.0  # 960 pixels: sharp at 720, and its letters are readable at 360
TITLE_PT, TEXT_PT, SMALL_PT = 13.0, 10.0, 8.5
FINE, THIN, MEDIUM, BOLD = 0.5, 0.8, 1.4, 2.2  # line widths in points
DOTTED, DASHED = (0, (1, 1.6)), (0, (3.2, 1.6))
MARKER = 5.0  # size in points
PICTURE_BYTES = 40_000  # at most
QUALITIES = ((DOTS_PER_INCH, 12), (DOTS_PER_INCH, 6), (DOTS_PER_INCH, 3), (120, 6), (120, 3), (100, 3))
"""Dots per inch, and shades of each ink where edges are smoothed: the fewer, the smaller is a picture."""


@contextmanager
def default_style(theme: Theme = LIGHT, names: str = "") -> Iterator[None]:
    """Use the figures' own settings within the block, whatever the user's settings file says.

    Args:
        theme: Colours.
        names: All the text that is a user's, which may need other fonts.
    """
    own: dict[Any, Any] = {
        "font.family": families(names),
        "font.size": TEXT_PT,
        "text.color": theme.ink,
        "text.parse_math": False,  # no "$" in a name starts a formula
        "figure.facecolor": theme.page,
        "axes.facecolor": "none",
        "axes.edgecolor": theme.faint,
        "axes.linewidth": THIN,
        "axes.labelcolor": theme.ink,
        "axes.labelsize": TEXT_PT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": theme.grid,
        "grid.linewidth": THIN,
        **{
            f"{axis}tick.{name}": value
            for axis in "xy"
            for name, value in {
                "color": theme.faint,
                "labelcolor": theme.ink,
                "labelsize": TEXT_PT,
                "major.width": THIN,
                "major.size": 3.0,
            }.items()
        },
    }
    with quiet(), matplotlib.style.context("default"), matplotlib.rc_context(own):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure, to be drawn by Agg. Call it within ``default_style``."""
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def themed(draw: Callable[[Theme], Figure]) -> tuple[bytes, bytes]:
    """Return what ``draw`` draws as two PNGs of one size, for a light page and for a dark one."""
    light, dark = _pngs([draw(LIGHT), draw(DARK)])
    return light, dark


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG with a palette, the same bytes for the same figure."""
    return _pngs([figure])[0]


def _pngs(figures: Sequence[Figure]) -> list[bytes]:
    """Return the figures as PNGs, by the first of ``QUALITIES`` that keeps each within ``PICTURE_BYTES``.

    A palette makes them a third as large: records and docs keep their pictures in the repository. It has the
    inks of the figure's theme, and their shades.
    """
    drawn: dict[int, list[Image.Image]] = {}
    for dpi, shades in QUALITIES:
        if dpi not in drawn:
            drawn[dpi] = [_drawn(figure, dpi) for figure in figures]
        made = [
            _flat(image, _theme(figure), dpi, shades)
            for image, figure in zip(drawn[dpi], figures, strict=True)
        ]
        if all(len(each) <= PICTURE_BYTES for each in made):
            break
    return made


def _flat(image: Image.Image, theme: Theme, dpi: int, shades: int) -> bytes:
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in _palette(theme, shades) for level in colour])
    file = io.BytesIO()
    # Without dithering: flat colours stay flat, and compress.
    flat = image.quantize(palette=palette, dither=Image.Dither.NONE)
    flat.save(file, "PNG", optimize=True, dpi=(dpi, dpi))
    return file.getvalue()


def _theme(figure: Figure) -> Theme:
    page = matplotlib.colors.to_hex(figure.get_facecolor())
    return next((theme for theme in (LIGHT, DARK) if theme.page == page), LIGHT)


def _drawn(figure: Figure, dpi: int) -> Image.Image:
    file = io.BytesIO()
    with default_style():
        figure.savefig(file, format="png", dpi=dpi)
    with Image.open(file) as image:
        return image.convert("RGB")


def _palette(theme: Theme, shades: int) -> list[tuple[int, int, int]]:
    """Return the page, the grid, and each ink in so many shades between the page and itself."""
    inks = (theme.ink, theme.faint, theme.blue, theme.accent)
    shaded = [mixed(theme, ink, shade / shades) for ink in inks for shade in range(1, shades + 1)]
    colours = [mixed(theme, theme.page, 1), mixed(theme, theme.grid, 1), *shaded]
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in colours]


def mixed(theme: Theme, colour: str, fraction: float) -> tuple[float, float, float]:
    """Return a colour mixed with the page: a fraction of 0 is the page, of 1 the colour."""
    page, ink = matplotlib.colors.to_rgb(theme.page), matplotlib.colors.to_rgb(colour)
    red, green, blue = (near + (far - near) * fraction for near, far in zip(page, ink, strict=True))
    return red, green, blue
