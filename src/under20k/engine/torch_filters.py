"""The plan's filters in PyTorch: exactly the pixels that ``recipe.filters`` defines.

Grey levels are float32, in which every sum below is exact; not every device multiplies matrices of integers.

Shapes: n images of a batch, S an image's side.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from under20k.recipe.filters import BITMAP_FIRST, BITMAP_LOW, LOWEST_SIDE, ROUND, WEIGHT_BITS, resampling

Extreme = Callable[[Tensor, Tensor], Tensor]


def filtered(images: Tensor, filters: Tensor) -> Tensor:
    """Apply filters, int16 (n, 3), to images (n, S, S) of whole grey levels; returns float32."""
    strokes, sides, bitmaps = filters.int().unbind(1)
    pixels = with_strokes(images.to(torch.float32), strokes)
    early = (bitmaps == BITMAP_FIRST) | ((bitmaps == BITMAP_LOW) & (sides == 0))
    pixels = torch.where(early[:, None, None], bilevel(pixels), pixels)
    low = (sides > 0).nonzero()[:, 0]
    if len(low):
        weights = torch.tensor(resampling(), dtype=torch.float32, device=pixels.device)
        shrink, enlarge = weights[:, (sides[low] - LOWEST_SIDE).long()]  # each (n, S, S)
        small = stretched(_resampled(pixels[low], shrink))
        late = bitmaps[low] == BITMAP_LOW
        small = torch.where(late[:, None, None], bilevel(small), small)
        pixels[low] = _resampled(small, enlarge)
    return pixels


def with_strokes(pixels: Tensor, strokes: Tensor) -> Tensor:
    """Make strokes wider by ``strokes``, int32 (n,) in 1/256 pixel, or thinner where it is negative."""
    left = strokes.abs()
    wider = (strokes > 0)[:, None, None]
    while left.any():
        part = left.clamp(max=ROUND)
        target = torch.where(wider, thickened(pixels), thinned(pixels))
        pixels = pixels + ((target - pixels) * part[:, None, None] / ROUND + 0.5).floor()
        left = left - part
    return pixels


def thickened(pixels: Tensor) -> Tensor:
    cross, square = _extremes(pixels, torch.maximum)
    return ((cross + square + 1) / 2).floor()


def thinned(pixels: Tensor) -> Tensor:
    cross, square = _extremes(pixels, torch.minimum)
    lost_by_cross = _extremes(cross, torch.maximum)[0] - cross
    lost_by_square = _extremes(square, torch.maximum)[1] - square
    return pixels - ((lost_by_cross + lost_by_square) / 2).floor()


def _extremes(pixels: Tensor, extreme: Extreme) -> tuple[Tensor, Tensor]:
    """Return the maximum or minimum over the cross and over the square about each pixel of (n, S, S)."""
    framed = nn.functional.pad(pixels, (1, 1, 1, 1))
    upright = extreme(extreme(framed[:, :-2], framed[:, 1:-1]), framed[:, 2:])  # (n, S, S + 2)
    cross = extreme(upright[..., 1:-1], extreme(framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]))
    return cross, extreme(extreme(upright[..., :-2], upright[..., 1:-1]), upright[..., 2:])


def bilevel(pixels: Tensor) -> Tensor:
    """Reduce images (n, S, S) to black and white at 3/8 of their largest values."""
    return torch.where(8 * pixels > 3 * pixels.amax((1, 2), keepdim=True), 255.0, 0.0)


def stretched(pixels: Tensor) -> Tensor:
    """Bring images (n, S, S) to full contrast."""
    largest = pixels.amax((1, 2), keepdim=True).clamp(min=1)
    # The quotients of such small numbers are rounded, but never up to a whole number.
    return ((2 * 255 * pixels + largest) / (2 * largest)).floor()


def _resampled(pixels: Tensor, weights: Tensor) -> Tensor:
    """Apply each image's weights (n, S, S) along both axes, rounding to whole grey levels at the end."""
    sums = weights @ pixels @ weights.mT
    return (sums / (1 << 2 * WEIGHT_BITS) + 0.5).floor()
