"""Bring the ink of one digit to 28×28 as MNIST's own were made; docs/digit-image.md specifies it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from under20k.data.images.segment import Ink

SIDE, LONGER_SIDE = 28, 20


def digit_image(ink: Ink) -> NDArray[np.uint8]:
    """Return one digit's image, uint8 (28, 28), of its ink (H, W) in 0–255.

    The longer side of the ink becomes 20 pixels, and its centre of mass the centre of the image.
    """
    rows, columns = np.nonzero(ink > 0)
    if not len(rows):
        return np.zeros((SIDE, SIDE), np.uint8)
    ink = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = LONGER_SIDE / max(ink.shape)
    size = [max(1, round(side * scale)) for side in reversed(ink.shape)]
    small = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX))
    total = small.sum() or 1
    middle = [
        (small.sum(1 - axis) * (np.arange(side) + 0.5)).sum() / total for axis, side in enumerate(small.shape)
    ]
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (
        int(np.clip(round(SIDE / 2 - centre), 0, SIDE - side))
        for centre, side in zip(middle, small.shape, strict=True)
    )
    image[top : top + small.shape[0], left : left + small.shape[1]] = np.rint(small)
    return image
