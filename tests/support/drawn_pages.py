"""Small pages drawn by hand: strokes in black ink on white paper."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Stroke = list[tuple[float, float]]

STROKES: dict[int, list[Stroke]] = {
    0: [[(0.5, 0), (0.1, 0.2), (0, 0.6), (0.3, 1), (0.6, 0.9), (0.75, 0.4), (0.5, 0)]],
    1: [[(0.3, 0), (0.25, 1)]],
    2: [[(0, 0.25), (0.25, 0), (0.6, 0.2), (0.3, 0.6), (0, 1), (0.65, 0.95)]],
    4: [[(0.15, 0), (0, 0.55), (0.65, 0.5)], [(0.5, 0.15), (0.45, 1)]],
    5: [[(0.1, 0.1), (0.05, 0.45), (0.5, 0.5), (0.55, 0.8), (0.3, 1), (0, 0.95)], [(0.1, 0.08), (0.6, 0)]],
    7: [[(0, 0), (0.65, 0.02), (0.3, 1)]],
}
"""Digits as strokes, x and y as fractions of the height."""


class Sheet:
    """Paper (H, W) that digits are written on."""

    def __init__(self, high: int, wide: int, paper: int = 255) -> None:
        self.image = Image.new("L", (wide, high), paper)
        self.draw = ImageDraw.Draw(self.image)

    def digit(self, value: int, left: float, top: float, height: float, pen: int = 3, ink: int = 0) -> None:
        """Write a digit of ``STROKES``."""
        for stroke in STROKES[value]:
            self.stroke([(left + x * height, top + y * height) for x, y in stroke], pen, ink)

    def stroke(self, points: Stroke, pen: int = 3, ink: int = 0) -> None:
        """Draw a line through points."""
        self.draw.line(points, fill=ink, width=pen, joint="curve")

    @property
    def grey(self) -> NDArray[np.float32]:
        """The luminance."""
        return np.asarray(self.image, np.float32)
