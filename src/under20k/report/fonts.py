"""Matplotlib, imported without a word on stderr, and the letters that its typeface can draw.

Every module that draws takes Matplotlib from here, by ``figures``. Nothing is shown on a screen, so
MPLBACKEND is not read: Jupyter and Colab set it for their ``!commands``, and importing Matplotlib fails where
it names a backend that is not installed.
"""

from __future__ import annotations

import logging
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Matplotlib from telling that it lists the fonts, or has no folder for that, or no bold font."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


_backend = os.environ.pop("MPLBACKEND", None)
_imported_before = "matplotlib" in sys.modules
try:
    with quiet():
        import matplotlib
        import matplotlib.style
        from matplotlib import font_manager
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend and not _imported_before:
    # For figures of the importing program: Matplotlib reads the variable once.
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _backend

__all__ = ["TYPEFACE", "drawable", "families", "font_manager", "matplotlib", "quiet"]

TYPEFACE = "DejaVu Sans"  # comes with Matplotlib: the same everywhere
REPLACEMENT = "?"
INVISIBLE = ("Mn", "Me", "Cf")  # categories of characters that only change their neighbours
UNFIT = (
    "Last Resort",
    "cm",
)  # names begin so of fonts with a box for every character, and with codes of their own


def drawable(text: str) -> str:
    """Return ``text`` in one line, with "?" for each character that no installed font has."""
    return "".join(map(_drawn, " ".join(text.split())))


def families(text: str) -> list[str]:
    """Return the typeface, and after it those that have characters of ``text`` which it lacks."""
    others = [_family_with(ord(letter)) for letter in dict.fromkeys(text)]
    return [TYPEFACE, *dict.fromkeys(family for family in others if family not in (TYPEFACE, None))]


def _drawn(letter: str) -> str:
    if unicodedata.category(letter) not in ("Cc", "Cs") and _family_with(ord(letter)):
        return letter
    return "" if unicodedata.category(letter) in INVISIBLE else REPLACEMENT


@cache
def _family_with(code: int) -> str | None:
    """Return the first family that has a character in its normal and its bold font; None where none does."""
    if code in _characters(TYPEFACE):
        return TYPEFACE
    names = sorted({font.name for font in font_manager.fontManager.ttflist})
    return next((name for name in names if not name.startswith(UNFIT) and code in _characters(name)), None)


@cache
def _characters(family: str) -> frozenset[int]:
    """Return the codes that both a family's normal and its bold font can draw; none if one is unreadable."""
    found = []
    for weight in ("normal", "bold"):
        wanted = font_manager.FontProperties(family=[family], weight=weight)
        # A font of pictures (emoji) cannot be opened, and the list may name a font that is gone.
        try:
            with quiet():
                path = font_manager.findfont(wanted, fallback_to_default=False)
            font = font_manager.get_font(path)
            found.append(frozenset(font.get_charmap()))
        except (OSError, RuntimeError, ValueError):
            return frozenset()
    return found[0] & found[1]
