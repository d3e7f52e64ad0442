"""A form: one way of writing a digit, as the path of a pen.

A path is text. Its strokes are separated by ``/``, and the knots of a stroke, through which the pen passes,
by spaces. A knot is ``x,y`` in hundredths of the digit's height, to the right and down from the upper left
corner; ``!`` after it makes it a corner, and ``x~d`` lets a coordinate vary by ± d.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Form:
    """One way of writing a digit, and how far it may vary before people misread it.

    Ranges are (low, high).
    """

    digit: int
    name: str
    path: str
    pen_px: tuple[float, float] = (0.5, 2.0)
    """Radius of the pen where the digit's longer side is 20 pixels."""
    width: tuple[float, float] = (0.75, 1.3)
    """Factor on x."""
    slant: tuple[float, float] = (-0.15, 0.45)
    """Shift to the right per height: positive leans right."""
    stretch: float = 1.8
    """Largest factor by which the drawing is made wider, lines included, as scans fitted to a square are."""
    noise: float = 1.0
    """Factor on the displacements of the knots."""
    weight: float = 1.0
    """How often it is drawn, relative to the digit's other forms."""

    @cached_property
    def strokes(self) -> tuple[Stroke, ...]:
        """Return the strokes of the path."""
        return tuple(Stroke.parse(text) for text in self.path.split("/"))


@dataclass(frozen=True)
class Stroke:
    """The path of a pen between touching the paper and leaving it, through K knots."""

    knots: NDArray[np.float64]
    """(K, 2) x and y."""
    spread: NDArray[np.float64]
    """(K, 2) How far each may vary, beyond what all knots do."""
    corners: tuple[bool, ...]
    """(K,) Whether the pen turns there; both ends count as corners."""

    @classmethod
    def parse(cls, text: str) -> Stroke:
        """Return the stroke of a path's text."""
        words = text.split()
        numbers = [[part.partition("~")[::2] for part in word.removesuffix("!").split(",")] for word in words]
        values = np.array([[[float(number or 0) for number in axis] for axis in knot] for knot in numbers])
        ends = (0, len(words) - 1)
        corners = tuple(index in ends or word.endswith("!") for index, word in enumerate(words))
        return cls(values[..., 0], values[..., 1], corners)
