"""Random transforms of images: affine matrices and elastic deformations, drawn for a whole epoch.

Everything is in fixed point, so that every engine lands on the same pixels. ``EpochPlan`` defines how engines
sample by the matrices and grids.

Elastic: Simard, Steinkraus and Platt (2003) blurred a random displacement of every pixel; here cubic
B-splines interpolate a coarse grid of random displacements, as in image registration (Rueckert et al. 1999):
as smooth, and cheap.

Shapes: N images, G control points along a side of the grid, S pixels along a side of the image.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.architecture import IMAGE_SIDE as S
from under20k.recipe.recipe import Augmentation

FIXED_ONE = 1 << 16
"""A coordinate of one pixel: 16.16 fixed point."""
G = 8
"""Control points along each axis: for a cubic spline, three more than the cells the image is cut into."""
GRID_ONE = 1 << 8
"""A displacement of one pixel, in units of the grid."""
WEIGHT_ONE = 1 << 9
"""Sum of a pixel's spline weights along one axis."""
SURPLUS_BITS = 10
"""Surplus fraction bits: 26 of a grid in 1/2⁸ pixels weighted twice in 1/2⁹, less the 16 of coordinates."""


def draw_matrices(
    augmentation: Augmentation, images: int, generator: np.random.Generator
) -> NDArray[np.int32] | None:
    """Draw an affine matrix for each image.

    Args:
        augmentation: the ranges to draw from.
        images: N.
        generator: source of all randomness; advanced by 5 · N draws.

    Returns:
        (N, 2, 3) as in ``EpochPlan.matrices``, or None if no pixel is moved.
    """
    if not augmentation.warps:
        return None
    # Always five draws per image: widening one range leaves the values of the others unchanged.
    rotation, shift_x, shift_y, scale, shear = generator.uniform(-1, 1, (5, images))
    return affine_matrices(
        rotation_deg=rotation * augmentation.rotation_deg,
        shift_x_px=shift_x * augmentation.translation_px,
        shift_y_px=shift_y * augmentation.translation_px,
        scale=1 + scale * augmentation.scale,
        shear=shear * augmentation.shear,
    )


def affine_matrices(
    rotation_deg: NDArray[np.float64],
    shift_x_px: NDArray[np.float64],
    shift_y_px: NDArray[np.float64],
    scale: NDArray[np.float64],
    shear: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Compute output-to-input matrices, (N, 2, 3) in 16.16 fixed point; all arguments (N,).

    Args:
        rotation_deg: rotation about the image's centre, counter-clockwise, after scaling and shearing.
        shift_x_px: shift to the right, after everything else.
        shift_y_px: shift downwards, after everything else.
        scale: factor on the image's size, applied first.
        shear: horizontal shear in pixels per row, applied second.
    """
    angle = np.deg2rad(rotation_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    # The inverse of rotation · shear · scale. Rows point down, hence the signs of the rotation.
    linear = (
        np.stack([cosine - shear * sine, -sine - shear * cosine, sine, cosine], axis=-1).reshape(-1, 2, 2)
        / scale[:, None, None]
    )
    centre = S / 2
    first_pixel = np.stack([0.5 - centre - shift_x_px, 0.5 - centre - shift_y_px], axis=-1)  # (N, 2)
    offset = centre + np.einsum("nij,nj->ni", linear, first_pixel)
    matrices = np.concatenate([linear, offset[..., None]], axis=-1)
    return np.floor(matrices * FIXED_ONE + 0.5).astype(np.int32)


def draw_grids(elastic_px: float, images: int, generator: np.random.Generator) -> NDArray[np.int16]:
    """Draw control grids, uniform within ± ``elastic_px``.

    Args:
        elastic_px: range of the shifts in pixels.
        images: N.
        generator: source of all randomness; advanced by 2 · G² · N draws.

    Returns:
        (N, 2, G, G) in 1/256 pixel: along x, then along y.
    """
    draws = generator.random((images, 2, G, G), np.float32)
    draws *= np.float32(2 * elastic_px * GRID_ONE)
    draws -= np.float32(elastic_px * GRID_ONE)
    return np.rint(draws, out=draws).astype(np.int16)


@cache
def spline_weights() -> NDArray[np.int32]:
    """Return each control point's weight along an axis at each pixel, (S, G) in 1/512, four of them > 0."""
    weights = np.zeros((S, G), np.int32)
    for pixel in range(S):
        cell, u = divmod((pixel + 0.5) * (G - 3) / S, 1)
        basis = [(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, 1 + 3 * u + 3 * u**2 - 3 * u**3, u**3]
        rounded = np.rint(np.array(basis) * (WEIGHT_ONE / 6)).astype(np.int32)
        # Rounding may leave the sum off by one; correcting the largest weight hardly matters.
        rounded[rounded.argmax()] += WEIGHT_ONE - rounded.sum()
        weights[pixel, int(cell) : int(cell) + 4] = rounded
    weights.flags.writeable = False
    return weights


def displacements(grids: NDArray[np.int16]) -> NDArray[np.int32]:
    """Return the displacement of each pixel's source point, (N, 2, S, S) in 16.16, of grids (N, 2, G, G).

    This defines the deformation; engines compute the same one with their own arithmetic.
    """
    weights = spline_weights()
    return (weights @ grids.astype(np.int32) @ weights.T) >> SURPLUS_BITS
