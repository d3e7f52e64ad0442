"""Find the ink of a page: paper of any light, ink dark on light or light on dark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from under20k.data.images.decode import Grey

Mask = NDArray[np.bool_]

WORKING_SIDE = 2048
"""Larger pictures are analysed at a whole fraction of their size, so that the longer side is at most this."""
CLOSED = 112
"""Pixels, at the working size: what is narrower is no paper, so it bounds the width of a stroke."""
FAINTEST = 0.12
"""Fraction of the paper's light that ink takes away at least."""
ALONG = 0.15
"""Fraction of a page's edge along which solid ink is none, but a shade."""
MARGIN = 0.08
"""Fraction of a page's height and width at each edge that does not tell whether ink is dark or light."""
DARK_PAPER = 0.35
"""Where the paper is darker than this fraction of the page's typical light there is none: a scan's border."""


NARROWEST = 40
"""Pixels at the working size: where there are shades, strokes up to half of this are ink in any case."""


@dataclass
class PageInk:
    """The ink of a page, at the working size."""

    darkness: Grey
    """(h, w): the fraction of the paper's light that is missing, 0–1."""
    mask: Mask
    """(h, w): what is ink, lines and specks included."""
    faint: Mask
    """(h, w): that, and what is fainter, such as the lines of paper."""
    outside: Mask
    """(h, w): what is no paper, such as a scan's dark border; ink that touches it is none."""
    factor: int
    """The picture is this many times larger."""


def page_ink(grey: Grey, closed: int = CLOSED) -> PageInk:
    """Return the ink of a picture (H, W) with strokes of fewer than ``closed`` pixels at the working size."""
    factor = -(-max(grey.shape) // WORKING_SIDE)
    small = _without_specks(_reduced(grey, factor))
    small = small if _is_dark_on_light(small) else 255 - small
    ink, shaded = _ink(small, factor, closed)
    # A band of shadow narrower than the widest stroke has digits in it; a scan's border is always there.
    while shaded and closed > NARROWEST:
        closed //= 2
        other, shaded = _ink(small, factor, closed)
        ink = ink if shaded else other
    return ink


def _ink(small: Grey, factor: int, closed: int) -> tuple[PageInk, bool]:
    """Return the ink of dark strokes of fewer than ``closed`` pixels, and whether shades were left out."""
    darkness, noise, outside = _darkness(small, closed)
    lowest = np.maximum(5 * noise, FAINTEST)
    mask = darkness > np.maximum(_levels(darkness, float(np.median(noise[::4, ::4]))) * 0.4, lowest)
    faint = darkness > 0.75 * lowest
    shades = _shades(faint)
    outside |= shades
    return PageInk(darkness, mask | outside, faint, outside, factor), bool(shades.any())


def _reduced(grey: Grey, factor: int) -> Grey:
    """Return the means of squares of ``factor`` pixels; those at the edges may be smaller."""
    if factor == 1:
        return grey
    return np.asarray(Image.fromarray(grey).reduce(factor))


def _without_specks(grey: Grey) -> Grey:
    """Return a picture in which the mean of its neighbours replaces a pixel unlike all eight of them."""
    if min(grey.shape) < 3:
        return grey
    rows = np.stack((grey[:-2, 1:-1], grey[2:, 1:-1]))
    above, below = grey[:-2], grey[2:]
    beside = grey[1:-1]
    low = np.minimum(np.minimum(beside[:, :-2], beside[:, 2:]), rows.min(0))
    high = np.maximum(np.maximum(beside[:, :-2], beside[:, 2:]), rows.max(0))
    for side in (slice(None, -2), slice(2, None)):
        for row in (above, below):
            np.minimum(low, row[:, side], out=low)
            np.maximum(high, row[:, side], out=high)
    middle = beside[:, 1:-1]
    speck = (middle < low - 25) | (middle > high + 25)
    if not speck.any():
        return grey
    clean = grey.copy()
    clean[1:-1, 1:-1][speck] = ((low + high) / 2)[speck]
    return clean


def _blocks(grey: Grey, side: int) -> Grey:
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).reduce(side))


def _enlarged(blocks: Grey, side: int, shape: tuple[int, ...]) -> Grey:
    """Return blocks of ``side`` pixels interpolated to the pixels of a picture of ``shape``."""
    box = (0.0, 0.0, shape[1] / side, shape[0] / side)
    image = Image.fromarray(blocks).resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image)


def _block_side(shape: tuple[int, ...]) -> int:
    return max(1, min(8, min(shape) // 12))


def _is_dark_on_light(grey: Grey, inner: bool = False) -> bool:
    """Judge by the pixels that differ most from the median of their neighbourhood."""
    side = _block_side(grey.shape)
    blocks = _blocks(grey, side)
    around = ndimage.median_filter(blocks, max(3, CLOSED // side) | 1, mode="nearest")
    if min(grey.shape) < 2 * CLOSED:
        around = np.full_like(around, np.median(grey))
    differs = grey - _enlarged(around, side, grey.shape)
    typical = float(np.median(abs(differs[::2, ::2])))
    limit = max(20, 5 * typical)
    dark = float(-differs[differs < -limit].sum())
    light = float(differs[differs > limit].sum())
    if light <= 1.6 * dark:
        return True
    if inner or min(grey.shape) < 2 * CLOSED:
        return False
    # Beside a scan's dark border, paper would be light ink.
    high, wide = (int(MARGIN * length) for length in grey.shape)
    return _is_dark_on_light(grey[high:-high, wide:-wide], inner=True)


def _darkness(grey: Grey, stroke: int) -> tuple[Grey, Grey, Mask]:
    """Return the missing fraction of the paper's light, its noise, and what is no paper, (h, w) each."""
    side = _block_side(grey.shape)
    blocks = _blocks(grey, side)
    blocks = ndimage.median_filter(blocks, 3, mode="nearest")
    reach = max(3, stroke // side) | 1
    closed = ndimage.grey_closing(np.pad(blocks, reach, mode="edge"), (reach, reach))
    # At the edge of a shadow the darker side counts: else the shadow's rim would be ink.
    blocks = ndimage.minimum_filter(closed[reach:-reach, reach:-reach], 3)
    typical = float(np.percentile(blocks, 75))
    light = np.maximum(_enlarged(blocks, side, grey.shape), 1).astype(np.float32, copy=False)
    missing = light - grey
    sample = missing[::3, ::3]
    for _ in range(3):
        middle = float(np.median(sample))
        noise = 1.4826 * float(np.median(abs(sample - middle)))
        sample = sample[sample < middle + 4 * noise + 0.01]
    missing -= middle
    if noise > 0.03 * typical:
        missing = ndimage.gaussian_filter(missing, 0.8)
        noise *= 0.4
    darkness: Grey = np.clip(np.divide(missing, light, out=missing), 0, 1, out=missing)
    outside = light < DARK_PAPER * typical
    if outside.any():
        darkness[outside] = 0
        near = ndimage.maximum_filter(outside[::side, ::side], 5)
        near = near.repeat(side, 0).repeat(side, 1)[: grey.shape[0], : grey.shape[1]]
        labels, _ = ndimage.label(outside | near & (grey < 0.8 * typical))
        outside = np.isin(labels, np.unique(labels[outside]))
    return darkness, np.divide(np.float32(noise), light, out=light), outside


def _shades(faint: Mask) -> Mask:
    """Return what is solid and runs along an edge of the page: a table, a shadow, a scan's border."""
    shades = np.zeros_like(faint)
    side = 4
    if min(faint.shape) < 16 * side:
        return shades
    blocks = _blocks(faint.astype(np.float32), side) > 0.75
    labels, _ = ndimage.label(blocks)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        long = np.flatnonzero(np.bincount(edge)[1:] > ALONG * len(edge)) + 1
        for label in long:
            own = ndimage.maximum_filter(labels == label, 5).repeat(side, 0).repeat(side, 1)
            shades |= own[: faint.shape[0], : faint.shape[1]] & faint
    return shades


def _levels(darkness: Grey, noise: float) -> Grey:
    """Return the darkness of full ink near each pixel (h, w)."""
    side = _block_side(darkness.shape)
    smooth = ndimage.uniform_filter(darkness, 3, mode="nearest") if min(darkness.shape) > 60 else darkness
    smooth = np.pad(smooth, [(0, -length % side) for length in smooth.shape])
    high, wide = smooth.shape
    peaks = smooth.reshape(high // side, side, wide // side, side).max((1, 3))
    inked = peaks[peaks > max(6 * noise, FAINTEST)]
    level = float(np.percentile(inked, 90)) if inked.size else 0.0
    near = ndimage.maximum_filter(peaks, max(3, 40 // side) | 1, mode="nearest")
    near = np.clip(near, 0.5 * level, None)
    return _enlarged(near.astype(np.float32), side, darkness.shape)
