"""Small pictures of digits: scikit-learn's of 8×8, and validation digits in few pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.reading.road import Collection, Labels, Picture

SIDES = 8, 16, 32
FINE = 4
"""A validation digit is enlarged so many times before its strokes change."""
PENS = {"thin": -2, "as written": 0, "thick": 3}
"""By how many enlarged pixels the ink grows on each side."""


def load_digits() -> Collection:
    """Return scikit-learn's 1,797 digits, 8×8, light on dark. Needs scikit-learn."""
    from sklearn import datasets

    content = datasets.load_digits()
    pictures = np.rint(content.images * (255 / 16)).astype(np.uint8)
    return Collection(list(pictures), content.target.astype(np.uint8))


def written_with(image: Picture, pen: str) -> NDArray[np.bool_]:
    """Return where the ink of a validation digit is, enlarged FINE times, its strokes thinner or thicker."""
    growth = PENS[pen]
    large = Image.fromarray(image).resize((28 * FINE, 28 * FINE), Image.Resampling.BICUBIC)
    ink = np.asarray(large) > 127
    changed = ndimage.binary_dilation if growth > 0 else ndimage.binary_erosion
    width = 2 * abs(growth) + 1
    return np.asarray(changed(ink, np.ones((width, width)))) if growth else ink


def in_pixels(ink: NDArray[np.bool_], side: int, bitmap: bool) -> Picture:
    """Return ink in ``side`` × ``side`` pixels, light on dark, its margin a 16th; a bitmap has two values."""
    rows, columns = np.nonzero(ink)
    margin = side // 16
    if not len(rows):
        return np.zeros((side, side), np.uint8)
    length = int(max(np.ptp(rows), np.ptp(columns))) + 1
    top, left = (int(indices.min() + indices.max() + 1 - length) // 2 for indices in (rows, columns))
    square = Image.fromarray(ink.astype(np.float32)).crop((left, top, left + length, top + length))
    small = np.asarray(square.resize((side - 2 * margin,) * 2, Image.Resampling.BOX))
    small = np.pad(small / small.max(), margin)
    return np.rint((small > 0.5 if bitmap else small) * np.float32(255)).astype(np.uint8)


def variants(images: NDArray[np.uint8], labels: Labels) -> dict[tuple[int, bool, str], Collection]:
    """Return validation digits by side in pixels, whether as a bitmap, and pen."""
    found = {}
    for pen in PENS:
        large = [written_with(image, pen) for image in images]
        for side in SIDES:
            for bitmap in (False, True):
                pictures = [in_pixels(each, side, bitmap) for each in large]
                found[side, bitmap, pen] = Collection(pictures, labels)
    return found
