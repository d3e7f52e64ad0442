"""Draw the picture of a page that is read, in docs/reading.md: `python -m tools.reading_picture`.

The page is drawn digits (under20k.recipe.drawn) on the benchmark's paper, since MNIST's images are not
included in the repository. The drawing is the one of ``under20k predict --show``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.reading.pages import Page, page
from under20k.data import Split
from under20k.deploy.model import load
from under20k.deploy.read import Reading, read_all
from under20k.recipe.drawn import drawn_digits
from under20k.report.prediction_sheets import page_panel

PICTURE = Path(__file__).parent.parent / "docs" / "reading.png"
KIND, DIGITS, SEED = "photo", 2000, 10
WIDTH = 1280
HEADING = 24
"""Pixels of the panel above the page, with the name of a file."""
COLOURS = 48
"""Of the PNG's palette, which keeps it small."""


def written_page(seed: int = SEED) -> Page:
    """Return the page, photographed in uneven light."""
    images, labels = drawn_digits(DIGITS, seed=11)
    return page(KIND, Split("train", images, labels), np.random.default_rng(seed))


def read_page(seed: int = SEED) -> tuple[Page, Reading]:
    """Return the page and what the default model reads on it."""
    written = written_page(seed)
    (reading,) = read_all([Image.fromarray(written.picture)], load("robust"))
    return written, reading


def main() -> int:
    """Write docs/reading.png; return the exit code."""
    panel = page_panel(read_page()[1]).convert("RGB")
    picture = panel.crop((0, HEADING, *panel.size))
    height = round(picture.height * WIDTH / picture.width)
    small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
