"""The contact sheet: sample images of each class on one page."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from under20k.data.mnist import Split
from under20k.report.fonts import TYPEFACE, font_manager

SCALE = 2  # sheet pixels to an image pixel, each way
TILE = 28 * SCALE
GAP = 6
MARGIN = 28
HEADING = 64  # height of the title's band
GUTTER = 104  # width of the labels' column
LEAST_WIDTH = 360  # for the heading
PAPER, INK, QUIET = 255, 24, 120  # grey levels


def contact_sheet(split: Split, samples: int) -> bytes:
    """Return a PNG of the first ``samples`` images of each class in ``split``, a row a class, with counts.

    Dark ink on white paper: the images are inverted. The same images give the same bytes with the same
    version of Pillow.
    """
    counts = split.class_counts()
    width = max(2 * MARGIN + GUTTER + samples * (TILE + GAP) - GAP, LEAST_WIDTH)
    height = 2 * MARGIN + HEADING + len(counts) * (TILE + GAP) - GAP
    sheet = Image.new("L", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), f"MNIST, {split.name} split", INK, typeface(24))
    subtitle = f"{len(split):,} images; the first {samples} of each class"
    pen.text((MARGIN, MARGIN + 34), subtitle, QUIET, typeface(13))

    for digit, count in enumerate(counts):
        top = MARGIN + HEADING + digit * (TILE + GAP)
        middle = top + TILE // 2
        pen.text((MARGIN, middle), str(digit), INK, typeface(30), anchor="lm")
        pen.text((MARGIN + 34, middle), f"{count:,}", QUIET, typeface(15), anchor="lm")
        for column, index in enumerate(np.flatnonzero(split.labels == digit)[:samples]):
            tile = Image.fromarray(255 - split.images[index]).resize((TILE, TILE), Image.Resampling.NEAREST)
            sheet.paste(tile, (MARGIN + GUTTER + column * (TILE + GAP), top))

    png = io.BytesIO()
    # A third as large as with all greys.
    levels = Image.new("P", (1, 1))
    levels.putpalette([grey for grey in range(0, 256, 17) for _ in "RGB"])
    sheet.convert("RGB").quantize(palette=levels, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    return png.getvalue()


@cache
def typeface(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the figures' typeface."""
    return ImageFont.truetype(font_manager.findfont(TYPEFACE), size_px)
