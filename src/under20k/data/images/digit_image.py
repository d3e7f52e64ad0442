"""Bring the ink of one digit to 28×28 as MNIST's own were made; docs/digit-image.md specifies it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Plane = NDArray[np.float64]
"""(H, W) ink, 0 background to 255 full ink."""

SIDE, LONGER_SIDE = 28, 20
CROP = 0.1
"""Ink of the crop exceeds this fraction of the most."""
WORKING_SIDE = 100
"""Longer side, in pixels, at which small ink is enlarged and thick ink is thinned."""
MARGIN, ENLARGED_CROP = 3, 0.15
"""Background around ink that is enlarged, in pixels, and the crop's fraction afterwards."""
SQUARE, LONE, RUN = 0.78, 1.12, 5.0
"""Ink at least this wide for its height, of less than so many strokes, is narrowed to this run in pixels."""
WIDEST, THINNINGS, CONTOUR, CORE = 5.0, 2, 0.5, 0.6
"""Strokes wider than this, in pixels, are thinned at most so often; what is ink; what of its depth may go."""
RIDGE = 240.0
"""Ink whose strokes are fainter is made darker; of 255."""
TIE = 1e-6


def digit_image(ink: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return one digit's image, uint8 (28, 28), of its ink (H, W) in 0–255.

    The longer side of the ink becomes 20 pixels, and its centre of mass falls into pixel (14, 14).
    Strokes much wider or fainter than MNIST's are thinned or darkened. Without ink, the image is empty.
    """
    plane = np.asarray(ink, np.float64)
    if not plane.size or plane.max() <= 0:
        return np.zeros((SIDE, SIDE), np.uint8)
    plane = _crop(plane, CROP)
    if max(plane.shape) < LONGER_SIDE:
        plane = _crop(_enlarged(plane), ENLARGED_CROP)
    plane, small = _narrowed(plane, _small(plane))
    return _centred(_darkened(_thinned(plane, small)))


def stroke_width(small: Plane) -> float:
    """Return the mean width of strokes in pixels: twice the ink by the length of its contour."""
    padded = np.pad(small, 1)
    down = padded[1:, :-1] - padded[:-1, :-1]
    right = padded[:-1, 1:] - padded[:-1, :-1]
    return float(2 * small.sum() / np.sqrt(down * down + right * right).sum())


def _crop(plane: Plane, fraction: float) -> Plane:
    ink = plane > fraction * plane.max()
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(shape: tuple[int, ...], longer_side: int) -> tuple[int, int]:
    """Return the shape whose longer side is given, at the same aspect."""
    longest = max(shape)
    height, width = (max(1, (2 * side * longer_side + longest) // (2 * longest)) for side in shape)
    return height, width


@lru_cache(maxsize=512)
def _overlaps(inputs: int, outputs: int) -> tuple[NDArray[np.intp], Plane]:
    """Return the input pixels that each output pixel may cover, and the fraction of it that each is.

    Both are (outputs, K).
    """
    # Pillow's BOX filter takes whole input pixels only, which shifts edges by up to half a pixel.
    edges = np.arange(outputs + 1) * inputs / outputs
    pixels = edges[:-1, None].astype(int) + np.arange(-(-inputs // outputs) + 1)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: Plane = np.maximum(covered, 0) * (outputs / inputs)
    return np.minimum(pixels, inputs - 1), weights


def _averaged(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Return the plane at a smaller shape; each pixel is the mean of the area that it covers."""
    for outputs in shape:
        if len(plane) != outputs:
            pixels, weights = _overlaps(len(plane), outputs)
            # A matrix product would wake BLAS's threads, whose waiting takes far longer than these few sums.
            plane = np.einsum("ok,okw->ow", weights, plane[pixels])
        plane = plane.T
    return plane


def _enlarged(plane: Plane) -> Plane:
    """Return the plane with a margin, enlarged by the whole number that makes its longer side 100 or more."""
    factor = -(-WORKING_SIDE // max(plane.shape))
    framed = Image.fromarray(np.pad(plane, MARGIN).astype(np.float32))
    size = (framed.width * factor, framed.height * factor)
    return np.maximum(np.asarray(framed.resize(size, Image.Resampling.LANCZOS), np.float64), 0)


def _small(plane: Plane) -> Plane:
    """Return the plane with a longer side of 20 pixels and a maximum of 255."""
    small = _averaged(plane, _fitted(plane.shape, LONGER_SIDE))
    scaled: Plane = small * (255 / small.max())
    return scaled


def _narrowed(plane: Plane, small: Plane) -> tuple[Plane, Plane]:
    """Narrow one thick stroke that fills a square: a 1 that was stretched to it."""
    height, width = small.shape
    if height < LONGER_SIDE or width < SQUARE * height:
        return plane, small
    padded = np.pad(small, 1)
    across, down = (float(np.abs(np.diff(padded, axis=axis)).sum()) / 510 for axis in (1, 0))
    run = float(small.sum()) / 255 / across
    if across / height * (down / width) >= LONE or run <= RUN:
        return plane, small
    plane = _averaged(plane, (plane.shape[0], max(1, int(plane.shape[1] * RUN / run + 0.5))))
    return plane, _small(plane)


def _thinned(plane: Plane, small: Plane) -> Plane:
    """Return the small plane with strokes that are not much wider than MNIST's widest."""
    for _ in range(THINNINGS):
        width = stroke_width(small)
        if width <= WIDEST:
            break
        if max(plane.shape) < WORKING_SIDE:
            plane = _crop(_enlarged(plane), ENLARGED_CROP)
        plane = _averaged(plane, _fitted(plane.shape, WORKING_SIDE))
        ink = np.pad(plane > CONTOUR * plane.max(), 1)
        depth = ndimage.distance_transform_edt(ink)
        # Thinning by r on each side takes 2 r off the longer side, too, which then becomes 20 pixels again.
        reach = WORKING_SIDE * (width - WIDEST) / (2 * (LONGER_SIDE - WIDEST))
        thin = np.clip(depth - min(reach, CORE * depth.max()), 0, 1) * 255
        plane = _crop(thin, CONTOUR)
        small = _small(plane)
    return small


def _darkened(small: Plane) -> Plane:
    """Return the small plane with the ridges of its strokes at full ink, or almost."""
    neighbourhood = ndimage.maximum_filter(small, 3, mode="constant")
    ridge = float((small * neighbourhood).sum() / small.sum())
    darkened: Plane = np.minimum(small * max(RIDGE / ridge, 1), 255)
    return darkened


def _centred(small: Plane) -> NDArray[np.uint8]:
    """Return the image, with the centre of mass in the pixel at row and column 14 where it fits."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    total = small.sum()
    corner = []
    for axis, side in enumerate(small.shape):
        centre = float((small.sum(1 - axis) * (np.arange(side) + 0.5)).sum() / total)
        corner.append(min(max(SIDE // 2 - int(centre + TIE), 0), SIDE - side))
    top, left = corner
    image[top : top + small.shape[0], left : left + small.shape[1]] = small + 0.5
    return image
