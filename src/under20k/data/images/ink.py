"""Find the ink of a picture, or of a region of one, that holds one digit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from under20k.data.images.decode import Grey

Ink = NDArray[np.float32]
"""(H, W) ink, 0 background to 255 full ink."""

ESTIMATE_SIDE = 128
"""Longer side, in pixels, of the reduced picture from which the background is estimated."""
LEVELS = 8.0
"""A picture with less contrast, in grey levels, is blank."""
BACKGROUND_BORDER = 0.8
"""Fraction of the border that must agree on a level, or a slope, to be the background."""
AGREEMENT = 0.15
"""How far, as a fraction of the contrast, pixels of the background are from its level at most."""
MOST_PIECES, CORNERS, LEVEL = 4, 4.0, 8.0
"""How much pieces, corners and the level of the border weigh against each other: a logistic regression's."""
FITTED_PIXELS = 2000
PHOTOGRAPH_SIDE = 64
"""From this longer side on, a picture may have a slope of light, noise and specks."""
NOISE = 4.0
"""Standard deviations of the background that are no ink."""
SPECK = 0.02
"""Connected ink below this fraction of the largest piece is a speck of a photograph."""
FAINTEST = 0.12
"""In a photograph, less than this fraction of full ink is background: JPEG's noise around strokes."""


def ink_of(grey: Grey) -> Ink:
    """Return the ink of one digit in a picture (H, W) of luminance 0–255, dark on light or light on dark.

    Uneven light is evened out, noise and specks are removed, and full ink is 255. A blank picture has none.
    """
    reduced = _reduced(grey)
    if np.ptp(reduced) < LEVELS:
        return np.zeros(grey.shape, np.float32)
    photograph = max(grey.shape) >= PHOTOGRAPH_SIDE
    dark, paper, has_margin = _polarity(reduced, photograph)
    background = _background(reduced, paper, grey.shape, photograph and has_margin)
    ink = grey - background
    if dark:  # it takes away a fraction of the light that its paper gives
        ink = ink * (np.float32(-255) / np.maximum(background, np.float32(1)))
    return _stretched(ink, _of_shape(paper, grey.shape), photograph)


def _reduced(grey: Grey) -> NDArray[np.float32]:
    factor = -(-max(grey.shape) // ESTIMATE_SIDE)
    if factor == 1:
        return grey
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey, np.float32)).reduce(factor))


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _polarity(grey: NDArray[np.float32], photograph: bool) -> tuple[bool, NDArray[np.bool_], bool]:
    """Return whether ink is darker than its paper, which pixels are paper, and whether the border is."""
    border = _border(grey.shape)
    for order in (0, 1) if photograph else (0,):
        level = np.median(grey[border]) if order == 0 else _fitted(grey, border, order)(grey.shape)
        residual = grey - level
        tolerance = AGREEMENT * float(np.ptp(residual))
        near = np.abs(residual) <= (max(tolerance, LEVELS / 2) if photograph else tolerance)
        if near[border].mean() >= BACKGROUND_BORDER:
            return bool(residual[~near].sum() < 0), near, True
    light = grey > _between_classes(grey)
    dark = _is_paper_light(grey, light, border)
    return dark, light if dark else ~light, False


def _is_paper_light(grey: NDArray[np.float32], light: NDArray[np.bool_], border: NDArray[np.bool_]) -> bool:
    """Tell whether the paper is light in a picture that strokes reach the border of.

    Paper has most of the border and its corners, and strokes cut it there into more pieces than they have
    themselves. Found wrong for 3 in 1,000 digits cropped to their ink and scaled to 8 to 32 pixels.
    """
    pieces = _border_pieces(light, border) - _border_pieces(~light, border)
    corners = (
        float(light[:: len(light) - 1, :: light.shape[1] - 1].mean()) - 0.5 if min(light.shape) > 1 else 0.0
    )
    level = float(grey[border].mean() - (grey.max() + grey.min()) / 2) / float(np.ptp(grey))
    return min(max(pieces, -MOST_PIECES), MOST_PIECES) + CORNERS * corners + LEVEL * level > 0


def _border_pieces(mask: NDArray[np.bool_], border: NDArray[np.bool_]) -> int:
    labels, _ = ndimage.label(mask)
    return len(np.unique(labels[border & mask]))


def _between_classes(grey: NDArray[np.float32]) -> float:
    """Return the level that divides pixels into two classes of the least variance within (Otsu's)."""
    counts, edges = np.histogram(grey, 64)
    levels = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * levels)
    above = below[-1] - below
    valid = (below > 0) & (above > 0)
    means = total / np.maximum(below, 1), (total[-1] - total) / np.maximum(above, 1)
    between = np.where(valid, below * above * (means[0] - means[1]) ** 2, 0)
    return float(edges[1 + int(between.argmax())])


def _terms(shape: tuple[int, ...], order: int) -> list[NDArray[np.float32]]:
    """Return the monomials of a surface over rows and columns, each from −1 to 1."""
    rows, columns = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    y, x = rows.astype(np.float32), columns.astype(np.float32)
    return [np.ones((1, 1), np.float32), y, x] + ([y * y, x * x, y * x] if order == 2 else [])


def _fitted(
    grey: NDArray[np.float32], where: NDArray[np.bool_], order: int
) -> Callable[[tuple[int, ...]], NDArray[np.float32]]:
    """Fit a surface to some pixels, against outliers, and return it as a function of the shape it is for."""
    terms = np.stack([np.broadcast_to(term, grey.shape)[where] for term in _terms(grey.shape, order)], 1)
    step = max(1, len(terms) // FITTED_PIXELS)
    terms, values = terms[::step].astype(np.float64), grey[where][::step].astype(np.float64)
    weights = np.ones(len(values))
    for _ in range(6):  # iteratively reweighted: the least absolute deviation
        weighted = terms.T * weights
        solution = np.linalg.solve(weighted @ terms + 1e-9 * np.eye(terms.shape[1]), weighted @ values)
        weights = 1 / np.maximum(np.abs(values - terms @ solution), 0.5)

    def surface(shape: tuple[int, ...]) -> NDArray[np.float32]:
        total = np.zeros(shape, np.float32)
        for coefficient, term in zip(solution, _terms(shape, order), strict=True):
            total += np.float32(coefficient) * term
        return total

    return surface


def _background(
    grey: NDArray[np.float32], paper: NDArray[np.bool_], shape: tuple[int, ...], photograph: bool
) -> NDArray[np.float32]:
    """Return the paper's level everywhere: a curved surface in a photograph, else that of its border."""
    border = paper & _border(paper.shape)
    known = grey[border if border.sum() >= 3 else paper]
    if photograph and len(known) >= 12 and np.ptp(known) > 0:
        levels = grey[paper]  # which the surface must not leave where ink hides the paper
        return np.clip(_fitted(grey, paper, order=2)(shape), levels.min(), levels.max())
    return np.full(shape, np.median(known), np.float32)


def _of_shape(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask.shape == shape:
        return mask
    picture = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.NEAREST)).astype(bool)


def _stretched(ink: Ink, paper: NDArray[np.bool_], photograph: bool) -> Ink:
    """Return ink with the paper's noise at 0 and full ink at 255, without specks."""
    step = max(1, ink.size // 1_000_000)
    levels = ink.ravel()[::step]
    on_paper = levels[paper.ravel()[::step]]
    noise = 1.4826 * float(np.median(np.abs(on_paper))) if len(on_paper) else 0.0
    most = float(levels.max())
    full = float(np.percentile(levels[levels >= most / 2], 75)) if noise and most > 0 else most
    floor = NOISE * noise
    if full <= max(floor, LEVELS):
        return np.zeros_like(ink)
    if noise:
        floor = max(floor, FAINTEST * full) if photograph else min(floor, FAINTEST * full)
    stretched = np.clip((ink - np.float32(floor)) * np.float32(255 / (full - floor)), 0, 255)
    return _without_specks(stretched) if photograph else stretched


def _without_specks(ink: Ink) -> Ink:
    labels, count = ndimage.label(ink > 0, np.ones((3, 3)))
    if count < 2:
        return ink
    masses = np.bincount(labels.ravel(), ink.ravel())
    kept = masses >= SPECK * masses[1:].max()
    return np.where(kept[labels], ink, np.float32(0))
