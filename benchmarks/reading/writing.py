"""Write MNIST's digits on a page with a pen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from under20k.data.images.segment import Box
from under20k.data.mnist import Split

Alpha = NDArray[np.float32]
"""(H, W), 0 nothing to 1 full ink."""


@dataclass(frozen=True)
class Pen:
    """How a pen renders an enlarged digit."""

    level: float
    """Ink of the enlargement, 0–1, at which the pen's edge lies: high for thin strokes."""
    grown: float
    """Pixels that the stroke is widened by, as a fraction of the digit's height."""


INTERLOCKED = 0.15
"""Fraction of a digit's height by which the boxes of digits that touch overlap at most."""
PENS = {"thin": Pen(0.72, 0), "thick": Pen(0.3, 0.07)}


class Writer:
    """Writes digits of one height with one pen; all randomness comes from ``random``."""

    def __init__(self, random: np.random.Generator, split: Split, height: float, pen: Pen) -> None:
        self.random, self.split, self.height, self.pen = random, split, height, pen
        self.tilt = 0.0

    def digit(self) -> tuple[int, Alpha]:
        """Return a value and its ink, cropped."""
        index = int(self.random.integers(len(self.split)))
        image = self.split.images[index]
        rows, columns = np.nonzero(image > 40)
        image = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        scale = self.height / 20 * self.random.uniform(0.88, 1.12)
        enlarged = Image.fromarray(np.pad(image, 2)).resize(
            (round((image.shape[1] + 4) * scale), round((image.shape[0] + 4) * scale)),
            Image.Resampling.BICUBIC,
        )
        if self.tilt:
            enlarged = enlarged.rotate(-np.degrees(self.tilt), Image.Resampling.BICUBIC, expand=True)
        smooth = np.asarray(enlarged, np.float32) / 255
        alpha = np.clip((smooth - self.pen.level) * max(2, scale * 0.8) + 0.5, 0, 1)
        if size := round(self.pen.grown * self.height):
            alpha = ndimage.grey_dilation(np.pad(alpha, size), (size + 1, size + 1))
        rows, columns = np.nonzero(alpha > 0.3)
        if not len(rows):
            return self.digit()
        alpha = alpha[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        return int(self.split.labels[index]), alpha.astype(np.float32)

    def broken(self, alpha: Alpha) -> Alpha:
        """Return a digit with a gap across it, of at most a tenth of its height."""
        angle, gap = self.random.uniform(0, np.pi), max(2, self.height * self.random.uniform(0.05, 0.1))
        rows, columns = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]]
        middle = [side * self.random.uniform(0.3, 0.7) for side in alpha.shape]
        distance = np.cos(angle) * (columns - middle[1]) + np.sin(angle) * (rows - middle[0])
        return np.where(abs(distance) < gap / 2, 0, alpha)

    def write(self, ink: Alpha, kind: str) -> Iterator[tuple[int, Box, int]]:
        """Write lines of digits; yield value, box and line of each in reading order."""
        height, random = self.height, self.random
        self.tilt = np.radians(random.uniform(-4, 4)) if kind == "tilted" else 0.0
        line, top = 0, height * random.uniform(0.4, 0.7)
        drop = np.tan(self.tilt) * ink.shape[1]
        top += max(0, -drop)
        pitch = height * random.uniform(1.35, 2)
        spacing = height * random.uniform(0.1, 0.6)
        while top + height * 1.25 + max(0, drop) < ink.shape[0]:
            left, number, previous = height * random.uniform(0.4, 0.7), 0, None
            group = int(random.integers(2, 6)) if kind == "touching" else 5
            while True:
                value, alpha = self.digit()
                if kind == "broken" and random.random() < 0.5:
                    alpha = self.broken(alpha)
                row = top + (height * 1.1 - alpha.shape[0]) / 2 + height * random.uniform(-0.05, 0.05)
                row += left * np.tan(self.tilt)
                joined = kind == "touching" and previous is not None and number % group
                if joined and previous is not None:
                    left = _touching(ink, previous, alpha, round(row), height)
                if left + alpha.shape[1] + height * 0.3 > ink.shape[1]:
                    break
                box = Box(round(left), round(row), round(left) + alpha.shape[1], round(row) + alpha.shape[0])
                place = ink[box.top : box.bottom, box.left : box.right]
                if place.shape != alpha.shape:
                    break
                np.maximum(place, alpha, out=place)
                yield value, box, line
                previous, number = box, number + 1
                left = box.right + spacing * random.uniform(0.6, 1.4)
                if kind in ("postcodes", "touching") and number % group == 0:
                    left += height * random.uniform(0.8, 1.6)
            line, top = line + 1, top + pitch * random.uniform(0.95, 1.1)

    def other_side(self, shape: tuple[int, int]) -> Alpha:
        """Return the ink of the other side as it shows through: mirrored and blurred."""
        ink = np.zeros(shape, np.float32)
        for _ in self.write(ink, "other side"):
            pass
        blurred: Alpha = ndimage.gaussian_filter(ink[:, ::-1], self.height * 0.03)
        return blurred

    def boxes(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return what the lines of a table leave of the brightness."""
        factor = np.ones(shape, np.float32)
        width = max(1, round(self.height * 0.04))
        dark = 1 - self.random.uniform(0.3, 0.8)
        for axis in (0, 1):
            for start in np.arange(self.height * 0.15, shape[axis] - width, self.height * 1.7):
                at = slice(round(start), round(start) + width)
                factor[(at, slice(None)) if axis == 0 else (slice(None), at)] = dark
        return factor


def _touching(ink: Alpha, previous: Box, alpha: Alpha, row: int, height: float) -> float:
    """Return the column at which a digit, moved left, first touches the one before it."""
    own = ink[row : row + alpha.shape[0], previous.left : previous.right] > 0.5
    after = np.full(alpha.shape[0], -np.inf)
    after[: own.shape[0]] = np.where(
        own.any(1), own.shape[1] - own[:, ::-1].argmax(1) + previous.left, -np.inf
    )
    solid = alpha > 0.5
    before = np.where(solid.any(1), solid.argmax(1), np.inf)
    nearest = max((after - before).max(), previous.right - INTERLOCKED * height)
    return float(nearest - max(1, height * 0.02))
