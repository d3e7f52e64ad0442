"""Elastic deformation: each image's own smooth random displacement of its pixels.

Simard, Steinkraus and Platt (2003) blurred a random displacement of every pixel; here a coarse grid of random
displacements is interpolated by cubic B-splines, as in image registration (Rueckert et al. 1999): as smooth,
and cheap. All in whole numbers, so that every engine lands on the same pixels.

Shapes: n images, G control points along a side of the grid, S pixels along a side of the image.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.architecture import IMAGE_SIDE as S

G = 8
"""Control points along each axis: of a cubic spline, three more than the cells that cut the image."""
GRID_ONE = 1 << 8
"""A displacement of one pixel in the grid."""
WEIGHT_ONE = 1 << 9
"""The sum of the weights of a pixel along one axis."""
SURPLUS_BITS = 10
"""A grid in 1/2⁸ pixels, weighted twice in 1/2⁹, has 26 bits of fraction; coordinates have 16."""


def draw_grids(elastic_px: float, images: int, generator: np.random.Generator) -> NDArray[np.int16]:
    """Control grids (n, 2, G, G) in 1/256 pixel: along x, then along y, uniform within ± ``elastic_px``."""
    draws = generator.random((images, 2, G, G), np.float32)
    draws *= np.float32(2 * elastic_px * GRID_ONE)
    draws -= np.float32(elastic_px * GRID_ONE)
    return np.rint(draws, out=draws).astype(np.int16)


@cache
def spline_weights() -> NDArray[np.int32]:
    """(S, G) How much each control point along an axis counts at each pixel, in 1/512; four are not 0."""
    weights = np.zeros((S, G), np.int32)
    for pixel in range(S):
        cell, u = divmod((pixel + 0.5) * (G - 3) / S, 1)
        basis = [(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, 1 + 3 * u + 3 * u**2 - 3 * u**3, u**3]
        rounded = np.rint(np.array(basis) * (WEIGHT_ONE / 6)).astype(np.int32)
        # Rounding may leave the sum one off; where it is made good among the large ones hardly matters.
        rounded[rounded.argmax()] += WEIGHT_ONE - rounded.sum()
        weights[pixel, int(cell) : int(cell) + 4] = rounded
    weights.flags.writeable = False
    return weights


def displacements(grids: NDArray[np.int16]) -> NDArray[np.int32]:
    """What each pixel's source point is moved by, (n, 2, S, S) in 16.16 fixed point, of grids (n, 2, G, G).

    This defines it; engines compute the same with their own arithmetic.
    """
    weights = spline_weights()
    return (weights @ grids.astype(np.int32) @ weights.T) >> SURPLUS_BITS
