"""Draw pieces of strokes with a pen, and bring the digits to 28×28 as MNIST's own were.

Shapes: N digits, P pieces, F sides of a frame in pixels; ``path`` tells which arithmetic is allowed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.drawn.form import Form
from under20k.recipe.drawn.path import Pieces, Values

Frames = NDArray[np.float32]

LONGER_SIDE, MARGIN, FINE = 20, 1, 2
"""Pixels of a digit's longer side and around it, and samples along each side of a pixel."""
FRAME = LONGER_SIDE + 2 * MARGIN
FLAT = 8.0
"""A flat end reaches 1 / √(1 + this) of a round end's length beyond the piece."""
STRETCHED_FRACTION, STRETCHED = 0.4, (0.45, 1.0)
"""How many digits are stretched to which width per height, if they are narrower."""
FLAT_FRACTION = 0.3
"""How many pens end their strokes flat instead of round."""
PRESSURE, CONTRAST = 0.2, 0.45
"""Largest change of the pen's width along a digit, and thinning of its horizontal strokes."""


def draw_images(form: Form, pieces: Pieces, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw pieces with random pens, uint8 (N, 28, 28)."""
    digits: int = pieces.start.shape[1]
    low, high = form.pen_px
    pen = low + (high - low) * generator.random(digits)
    flat = np.less(generator.random(digits), FLAT_FRACTION)
    blur = np.maximum(generator.random(digits) * 0.4 - 0.2, 0)
    ink = np.minimum(205 + 130 * generator.random(digits), 255)
    aspect = STRETCHED[0] + (STRETCHED[1] - STRETCHED[0]) * generator.random(digits)
    aspect *= generator.random(digits) < STRETCHED_FRACTION
    start, end, radii, stretch = _to_pixels(pieces, pen, _widths(pieces, generator), aspect, form.stretch)
    _extend_flat_ends(pieces, start, end, radii, flat)
    covered = _coverage(pieces, start, end, radii, flat, stretch)
    return _centred(_printed(covered, blur, ink))


def _widths(pieces: Pieces, generator: np.random.Generator) -> Values:
    """Draw the width (N, P) of each piece, as a factor on the pen's."""
    digits, count = pieces.start.shape[1:]
    trend = PRESSURE * (2 * generator.random((digits, 1)) - 1)
    contrast = np.maximum(generator.random((digits, 1)) * 2 * CONTRAST - CONTRAST, 0)
    along = np.arange(count) * (2 / max(count - 1, 1)) - 1
    x, y = pieces.end - pieces.start
    level = np.sqrt(x * x / (x * x + y * y + 1e-9))
    widths: Values = (1 + trend * along) * (1 - contrast * level)
    return widths


def _to_pixels(
    pieces: Pieces, pen: Values, widths: Values, aspect: Values, most: float
) -> tuple[Values, Values, Values, Values]:
    """Scale digits so that the longer side of their ink is 20 pixels.

    Args:
        pieces: of N digits.
        pen: (N,) radius in pixels.
        widths: (N, P) factors on it.
        aspect: (N,) width per height to which narrower digits are stretched.
        most: the largest factor of it.

    Returns:
        start and end (2, N, P) and radii (N, P) before the stretch, in pixels; and its factors (N,).
    """
    extent = np.maximum(*_box(pieces.start, pieces.end, np.zeros_like(widths))[1])
    scale = (LONGER_SIDE - 2 * pen) / extent
    start, end, radii = (pieces.start * scale[:, None], pieces.end * scale[:, None], pen[:, None] * widths)
    origin, (wide, high) = _box(start, end, radii)
    stretch = np.minimum(np.maximum(aspect * high / wide, 1), most)
    fit = LONGER_SIDE / np.maximum(wide * stretch, high)
    # In the middle of the frame, so that no digit is far from where its centre of mass will be.
    shift = np.stack([(LONGER_SIDE / stretch - wide * fit) / 2, (LONGER_SIDE - high * fit) / 2])
    start, end = ((points - origin[..., None]) * fit[:, None] + shift[..., None] for points in (start, end))
    return start, end, radii * fit[:, None], stretch


def _box(start: Values, end: Values, radii: Values) -> tuple[Values, Values]:
    """Return the upper left corner and the sides, (2, N), of the box around round pieces."""
    low = (np.minimum(start, end) - radii).min(2)
    high = (np.maximum(start, end) + radii).max(2)
    return low, high - low


def _extend_flat_ends(
    pieces: Pieces, start: Values, end: Values, radii: Values, flat: NDArray[np.bool_]
) -> None:
    """Lengthen the ends of strokes with a flat end, so that they reach as far as round ones."""
    reach = radii * flat[:, None] * (1 - 1 / np.sqrt(1 + FLAT))
    along = end - start
    along = along / np.sqrt(along[0] * along[0] + along[1] * along[1] + 1e-9) * reach
    start -= along * np.array(pieces.first)
    end += along * np.array(pieces.last)


def _coverage(
    pieces: Pieces, start: Values, end: Values, radii: Values, flat: NDArray[np.bool_], stretch: Values
) -> Frames:
    """Return how far each sample lies within the ink, float32 (N, 2F, 2F) in 0–1."""
    side = FRAME * FINE
    rows = ((np.arange(side) + 0.5) / FINE - MARGIN).astype(np.float32)
    columns = rows / stretch.astype(np.float32)[:, None]
    begin, radius = start.astype(np.float32), radii.astype(np.float32)
    step = end.astype(np.float32) - begin
    squared = step[0] * step[0] + step[1] * step[1] + np.float32(1e-9)
    inverse = 1 / radius
    cut = np.where(flat, np.float32(FLAT), np.float32(0))[:, None, None]
    nearest = np.full((begin.shape[1], side, side), np.inf, np.float32)
    inside, across, upright = (np.empty_like(nearest) for _ in range(3))
    for piece in range(begin.shape[2]):
        # In units of the pen's radius.
        unit, length = inverse[:, piece, None], squared[:, piece, None]
        right, down = (
            (grid - begin[axis, :, piece, None]) * unit for axis, grid in ((0, columns), (1, rows))
        )
        dx, dy = (step[axis, :, piece, None] * unit for axis in (0, 1))  # (N, 1); right and down are (N, 2F)
        length = length * unit * unit
        along = (down * dy / length)[:, :, None] + (right * dx / length)[:, None]
        np.minimum(np.maximum(along, 0, out=inside), 1, out=inside)
        np.subtract(right[:, None], np.multiply(inside, dx[:, None], out=across), out=across)
        np.subtract(down[:, :, None], np.multiply(inside, dy[:, None], out=upright), out=upright)
        across *= across
        upright *= upright
        across += upright
        if pieces.first[piece] or pieces.last[piece]:
            # Beyond a flat end, distances count more.
            if not pieces.first[piece]:
                np.maximum(along, 0, out=along)
            if not pieces.last[piece]:
                np.minimum(along, 1, out=along)
            along -= inside
            along *= along
            along *= cut * length[:, None]
            across += along
        np.minimum(nearest, across, out=nearest)
    typical = np.float32(FINE) * radius[:, :1, None]
    depth: Frames = (1 - np.sqrt(nearest)) * typical + np.float32(0.5)
    return np.minimum(np.maximum(depth, 0), 1)


def _printed(covered: Frames, blur: Values, ink: Values) -> NDArray[np.uint8]:
    """Average the samples of each pixel, blur, and scale to the ink's grey level; uint8 (N, F, F)."""
    frames = (covered[:, ::2, ::2] + covered[:, ::2, 1::2]) + (covered[:, 1::2, ::2] + covered[:, 1::2, 1::2])
    weight = blur.astype(np.float32)[:, None, None]
    for axis in (1, 2):
        padded = np.pad(frames, [(0, 0) if other != axis else (1, 1) for other in range(3)])
        before, after = np.split(padded, [FRAME], axis)[0], np.split(padded, [2], axis)[1]
        frames = frames + weight * (before + after - 2 * frames)
    level = (ink / FINE**2).astype(np.float32)[:, None, None]
    return np.rint(np.minimum(frames * level, 255)).astype(np.uint8)


def _centred(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the centre of mass of each frame (N, F, F) at the centre of an image, uint8 (N, 28, 28)."""
    digits = len(frames)
    mass = frames.astype(np.int64)
    total = np.maximum(mass.sum((1, 2)), 1)
    images = np.zeros((digits, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    top, left = (
        # The nearest whole number to half the image less the centre of mass, in integers.
        np.clip(
            (IMAGE_SIDE * total - 2 * (mass.sum(other) * np.arange(FRAME)).sum(1)) // (2 * total),
            0,
            IMAGE_SIDE - FRAME,
        )
        for other in (2, 1)
    )
    rows, columns = (first[:, None] + np.arange(FRAME) for first in (top, left))
    images[np.arange(digits)[:, None, None], rows[:, :, None], columns[:, None]] = frames
    return images
