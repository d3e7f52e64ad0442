"""Random filters of images, drawn for a whole epoch: stroke width, low resolution, bitmaps.

They imitate other pens and scanners. Each takes and gives whole grey levels, 0–255, in integer arithmetic, so
that every engine computes the same pixels. ``filtered`` defines them.

Shapes: N images of the epoch, n any number of images, S pixels along a side of the image.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.architecture import IMAGE_SIDE as S
from under20k.recipe.recipe import Augmentation

STROKE_ONE = 1 << 8
"""A pixel of stroke width."""
ROUND_BITS = 9
ROUND = 1 << ROUND_BITS
"""Change of the stroke width by one whole round of morphology: a pixel at each edge of a stroke."""
LOWEST_SIDE, HIGHEST_SIDE = 8, 22
"""Pixels along a side of an image at low resolution; MNIST's digits are then 6 to 16 pixels tall."""
WEIGHT_BITS = 8
"""Fraction bits of the weights of ``resampling``: sums of two axes stay below 2²⁴, exact even in float32."""
BITMAP_FIRST, BITMAP_LOW = 1, 2
"""An image is reduced to black and white before, or at, its low resolution."""

Images = NDArray[np.uint8]


def draw_filters(
    augmentation: Augmentation, images: int, generator: np.random.Generator
) -> NDArray[np.int16] | None:
    """Draw the filters of each image.

    Args:
        augmentation: the range and fractions to draw from.
        images: N.
        generator: source of all randomness; advanced by 5 · N draws.

    Returns:
        (N, 3) as in ``EpochPlan.filters``, or None if there are none.
    """
    if not augmentation.filters:
        return None
    # Always five draws per image: changing one setting leaves what the others draw unchanged.
    width, low, side, bitmap, when = generator.random((5, images))
    sides = LOWEST_SIDE + np.floor(side * (HIGHEST_SIDE + 1 - LOWEST_SIDE))
    return np.stack(
        [
            np.rint((2 * width - 1) * augmentation.stroke_px * STROKE_ONE),
            np.where(low < augmentation.low_resolution, sides, 0),
            np.where(bitmap < augmentation.bitmap, np.where(when < 0.5, BITMAP_FIRST, BITMAP_LOW), 0),
        ],
        axis=1,
    ).astype(np.int16)


def filtered(images: Images, filters: NDArray[np.int16]) -> Images:
    """Apply filters (n, 3) to images (n, S, S), in the order of their columns."""
    strokes, sides, bitmaps = filters.T
    changed = with_strokes(images, strokes)
    # Without a low resolution, both kinds of bitmap are the same.
    early = (bitmaps == BITMAP_FIRST) | ((bitmaps == BITMAP_LOW) & (sides == 0))
    changed[early] = bilevel(changed[early])
    weights = resampling()
    for side in np.unique(sides[sides > 0]):
        chosen = sides == side
        shrink, enlarge = weights[:, side - LOWEST_SIDE]
        small = stretched(_resampled(changed[chosen], shrink))
        late = bitmaps[chosen] == BITMAP_LOW
        small[late] = bilevel(small[late])
        changed[chosen] = _resampled(small, enlarge)
    return changed


def with_strokes(images: Images, strokes: NDArray[np.int16]) -> Images:
    """Return images (n, S, S) whose strokes are wider by ``strokes`` (n,), in 1/256 pixel; thinner if < 0.

    Each round of morphology goes up to one pixel at each edge of a stroke; its part of a round blends.
    """
    pixels, left = images.astype(np.int32), np.abs(strokes.astype(np.int32))
    while left.any():
        part = np.minimum(left, ROUND)
        target = np.where((strokes > 0)[:, None, None], thickened(pixels), thinned(pixels))
        pixels += ((target - pixels) * part[:, None, None] + ROUND // 2) >> ROUND_BITS
        left -= part
    return pixels.astype(np.uint8)


def thickened(pixels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the mean of the dilations by a 3×3 cross and a 3×3 square: about a round pen's, at any slant."""
    cross, square = _extremes(pixels, np.maximum)
    return (cross + square + 1) >> 1


def thinned(pixels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the mean over cross and square of image − (opening − erosion).

    Where a stroke is wide enough for the cross or square, this is the erosion; thinner strokes stay.
    """
    cross, square = _extremes(pixels, np.minimum)
    lost_by_cross = _extremes(cross, np.maximum)[0] - cross
    lost_by_square = _extremes(square, np.maximum)[1] - square
    return pixels - ((lost_by_cross + lost_by_square) >> 1)


def _extremes(pixels: NDArray[np.int32], extreme: np.ufunc) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the maximum or minimum over the cross and over the square about each pixel of (n, S, S)."""
    framed = np.pad(pixels, ((0, 0), (1, 1), (1, 1)))  # outside is background
    upright = extreme(extreme(framed[:, :-2], framed[:, 1:-1]), framed[:, 2:])  # (n, S, S + 2)
    cross = extreme(upright[..., 1:-1], extreme(framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]))
    return cross, extreme(extreme(upright[..., :-2], upright[..., 1:-1]), upright[..., 2:])


def bilevel(images: Images) -> Images:
    """Return images (n, S, S) in black and white: 255 above 3/8 of the image's largest value, 0 elsewhere."""
    pixels, largest = images.astype(np.int32), _largest(images)
    black_and_white: Images = np.where(8 * pixels > 3 * largest, 255, 0).astype(np.uint8)
    return black_and_white


def stretched(images: Images) -> Images:
    """Return images (n, S, S) at full contrast: their values times 255 / the image's largest, rounded."""
    pixels, largest = images.astype(np.int32), np.maximum(_largest(images), 1)
    values: Images = ((2 * 255 * pixels + largest) // (2 * largest)).astype(np.uint8)
    return values


def _largest(images: Images) -> NDArray[np.int32]:
    """Return the largest value of each image (n, S, S), (n, 1, 1)."""
    largest: NDArray[np.int32] = images.max(axis=(1, 2), keepdims=True, initial=0).astype(np.int32)
    return largest


def _resampled(images: Images, weights: NDArray[np.int16]) -> Images:
    """Apply weights (S, S) along both axes of images (n, S, S), rounding to whole grey levels at the end."""
    wide = weights.astype(np.int32)
    sums = wide @ images.astype(np.int32) @ wide.T
    return ((sums + (1 << (2 * WEIGHT_BITS - 1))) >> 2 * WEIGHT_BITS).astype(np.uint8)


@cache
def resampling() -> NDArray[np.int16]:
    """Return the weights between S pixels along an axis and each lower number k, (2, K, S, S) in 1/256.

    The first half shrinks by area averaging: row i < k holds low pixel i's weights, other rows are 0.
    The second half enlarges by linear interpolation between the centres of the low pixels; columns from k on
    are 0. Every row of weights sums to 1.
    """
    weights = np.zeros((2, HIGHEST_SIDE + 1 - LOWEST_SIDE, S, S), np.int16)
    for shrink, enlarge, k in zip(*weights, range(LOWEST_SIDE, HIGHEST_SIDE + 1), strict=True):
        edges = np.arange(k + 1) * S / k
        low, high = edges[:-1, None], edges[1:, None]
        pixel = np.arange(S)
        overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
        shrink[:k] = _rounded(overlap * k / S)
        point = np.clip((pixel + 0.5) * k / S - 0.5, 0, k - 1)
        enlarge[:, :k] = _rounded(np.clip(1 - np.abs(point[:, None] - np.arange(k)), 0, None))
    weights.flags.writeable = False
    return weights


def _rounded(weights: NDArray[np.float64]) -> NDArray[np.int16]:
    """Round rows of weights to 1/256 without changing their sum of 1."""
    one = 1 << WEIGHT_BITS
    rounded = np.rint(weights * one).astype(np.int16)
    rows = np.arange(len(rounded))
    # The largest weight makes good what rounding leaves; it hardly matters there.
    rounded[rows, rounded.argmax(axis=1)] += one - rounded.sum(axis=1, dtype=np.int16)
    return rounded
