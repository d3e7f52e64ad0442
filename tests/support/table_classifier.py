"""DigitClassifier with tables drawn as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from under20k.sklearn import DigitClassifier

SIDE = 28


class TableClassifier(DigitClassifier):
    """What DigitClassifier does with images, done with tables of any width up to 784.

    scikit-learn's checks fit tables of a few columns. Each column is drawn as a square whose grey level rises
    with the value; everything else is DigitClassifier's own.
    """

    def _images(self, table: NDArray[Any]) -> NDArray[np.uint8]:
        squares = math.isqrt(table.shape[1] - 1) + 1
        size = SIDE // squares
        levels = np.zeros((len(table), squares * squares))
        levels[:, : table.shape[1]] = 0.5 + np.arctan(table.astype(np.float64)) / np.pi
        drawn = levels.reshape(-1, squares, squares).repeat(size, 1).repeat(size, 2)
        images = np.zeros((len(table), SIDE, SIDE), np.uint8)
        images[:, : squares * size, : squares * size] = np.rint(255 * drawn)
        return images

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags
