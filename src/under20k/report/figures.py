"""Matplotlib without its global state: figures by the object API, PNGs that depend only on their content.

Every module that draws takes Matplotlib from here. Nothing is shown on a screen, so MPLBACKEND is not read:
Jupyter and Colab set it for their ``!commands``, and importing Matplotlib fails where it names a backend that
is not installed.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import Image

_backend = os.environ.pop("MPLBACKEND", None)
_imported_before = "matplotlib" in sys.modules
try:
    import matplotlib
    import matplotlib.style
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend and not _imported_before:
    # For figures of the importing program: Matplotlib reads the variable once.
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _backend

__all__ = ["Axes", "Figure", "FuncFormatter", "MaxNLocator", "NullLocator"]

DOTS_PER_INCH = 120
COLOURS = 96  # of a picture's palette: the inks, and their shades where edges are smoothed

# Okabe and Ito's blue and vermilion: told apart by every kind of colour vision, and, the blue darkened,
# by lightness too.
BLUE, VERMILION = "#00538a", "#d55e00"
INK, FAINT, GRID = "#1b1f24", "#59636e", "#e3e7eb"


@contextmanager
def default_style() -> Iterator[None]:
    """Use Matplotlib's own defaults within the block, whatever the user's settings file says."""
    with matplotlib.style.context("default"), matplotlib.rc_context({"text.color": INK}):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure, to be drawn by Agg. Call it within ``default_style``."""
    figure = Figure(figsize=(width_in, height_in), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG with a palette, the same bytes for the same figure.

    The palette makes it a third as large: records and docs keep their pictures in the repository.
    """
    drawn = io.BytesIO()
    with default_style():
        figure.savefig(drawn, format="png", metadata={"Software": None})
    with Image.open(drawn) as image:
        # By octree: median cut would mix an ink that few pixels have with its neighbours. Without dithering:
        # flat colours stay flat, and compress.
        reduced = image.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    encoded = io.BytesIO()
    reduced.save(encoded, "PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return encoded.getvalue()
