"""Pictures of what is no digit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmarks.reading.fonts import FONTS, glyph
from benchmarks.reading.road import Picture

LETTERS = "ACEFHJKLMNPRTUVWXY" + "acdefhjkmnprtuvwx"
"""Not those that are written as a digit is.

D O Q o are like 0, I i l like 1, Z z like 2, y like 4, S s like 5, G b like 6, B like 8, g q like 9.
"""
PUNCTUATION = '?&%#@$+=*:;~<>{}"'
"""Not ( ) [ ] / | ! and the like, which are strokes as a 1 is, nor dots, which are specks."""
COUNT = 100
"""Of each kind that is drawn at random."""
SIDE = 96
PAPER, INK = 235, 25


def letters(count: int = COUNT) -> list[Picture]:
    """Return letters in the fonts that are installed, ``count`` of them drawn from all."""
    return _signs(LETTERS, np.random.default_rng(5), count)


def punctuation(count: int = COUNT) -> list[Picture]:
    """Return other signs in the fonts that are installed, ``count`` of them drawn from all."""
    return _signs(PUNCTUATION, np.random.default_rng(6), count)


def scribbles(count: int = COUNT) -> list[Picture]:
    """Return smooth strokes at random, one to three in a picture."""
    rng = np.random.default_rng(1)
    return [_scribble(rng) for _ in range(count)]


def blots(count: int = COUNT) -> list[Picture]:
    """Return filled shapes with a smooth, irregular outline."""
    rng = np.random.default_rng(2)
    return [_blot(rng) for _ in range(count)]


def lines(count: int = COUNT) -> list[Picture]:
    """Return pieces of straight lines, at most 40° from the horizontal: steeper ones may be a 1."""
    rng = np.random.default_rng(3)
    return [_line(rng) for _ in range(count)]


def blank(count: int = COUNT) -> list[Picture]:
    """Return paper with a shadow and noise, and nothing on it."""
    rng = np.random.default_rng(4)
    return [_paper(rng) for _ in range(count)]


KINDS: dict[str, Callable[[int], list[Picture]]] = {
    "letters": letters,
    "punctuation": punctuation,
    "scribbles": scribbles,
    "blots": blots,
    "lines": lines,
    "blank": blank,
}


def pairs(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Return the ink of two validation digits each that overlap by two pixels, (H, W): no picture.

    A picture of them would be separated into two digits, rightly. These are for when that fails.
    """
    return [_side_by_side(*two) for two in zip(images[::2], images[1::2], strict=False)]


def _signs(signs: str, rng: Generator, count: int) -> list[Picture]:
    every = [(path, sign) for font in FONTS if (path := font.path()) for sign in signs]
    chosen = rng.choice(len(every), min(count, len(every)), replace=False)
    return [glyph(path, sign, 64, 0.0) for path, sign in (every[index] for index in chosen)]


def _scribble(rng: Generator) -> Picture:
    picture = Image.new("L", (2 * SIDE, 2 * SIDE), PAPER)
    draw = ImageDraw.Draw(picture)
    width = int(rng.integers(8, 20))
    middle = np.full(2, SIDE) + rng.uniform(-10, 10, 2)
    for _ in range(rng.integers(1, 4)):
        turns = ndimage.gaussian_filter1d(rng.standard_normal((200, 2)), rng.uniform(8, 25), axis=0)
        reach = rng.uniform(40, 80)
        turns = (turns - turns.mean(0)) / np.abs(turns - turns.mean(0)).max() * reach + middle
        draw.line([tuple(point) for point in turns], fill=INK, width=width, joint="curve")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def _blot(rng: Generator) -> Picture:
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    angle = np.arctan2(rows, columns)
    radius = rng.uniform(12, 30) * np.ones(angle.shape)
    for wave in range(1, 6):
        radius *= 1 + rng.uniform(0, 0.4 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    edge = np.clip(radius - np.hypot(rows, columns) + 0.5, 0, 1)
    return _picture(PAPER + edge * (INK - PAPER))


def _line(rng: Generator) -> Picture:
    picture = Image.new("L", (2 * SIDE, 2 * SIDE), PAPER)
    angle, reach = np.radians(rng.uniform(-40, 40)), rng.uniform(30, 80)
    ends = [(SIDE + sign * reach * np.cos(angle), SIDE + sign * reach * np.sin(angle)) for sign in (-1, 1)]
    ImageDraw.Draw(picture).line(ends, fill=INK, width=int(rng.integers(5, 20)))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def _paper(rng: Generator) -> Picture:
    light = rng.uniform(140, 250) * (1 - rng.uniform(0, 0.3) * np.linspace(0, 1, SIDE))
    paper = light + rng.normal(0, rng.uniform(0, 4), (SIDE, SIDE))
    return _picture(np.rot90(paper, int(rng.integers(4))))


def _picture(values: NDArray[np.float64]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    inks = [image[:, image.any(0)].astype(np.float32) for image in (left, right)]
    width = inks[0].shape[1] + inks[1].shape[1] - 2
    both = np.zeros((28, width), np.float32)
    both[:, : inks[0].shape[1]] = inks[0]
    both[:, width - inks[1].shape[1] :] = np.maximum(both[:, width - inks[1].shape[1] :], inks[1])
    return both
