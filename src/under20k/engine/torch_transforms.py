"""The plan's transforms and dropout masks in PyTorch: exactly the pixels and elements that it defines.

Shapes: n images of a batch, S an image's side, G an elastic grid's, E elements of an image's activations.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from under20k.recipe.architecture import IMAGE_SIDE as S
from under20k.recipe.plan import MIX_FIRST, MIX_SECOND, dropout_threshold
from under20k.recipe.transforms import SURPLUS_BITS, spline_weights

FRACTION_BITS = 16


def displacements(grids: Tensor) -> Tensor:
    """Interpolate control grids, int16 (n, 2, G, G), to elastic displacements, int32 (n, 2, S, S)."""
    weights = torch.tensor(spline_weights(), device=grids.device)
    # Products and sums, since not every device multiplies integer matrices.
    along_x = (grids.int()[..., None, :] * weights).sum(-1, dtype=torch.int32)  # (n, 2, G, S)
    fixed = (weights[:, :, None] * along_x[:, :, None]).sum(-2, dtype=torch.int32)  # (n, 2, S, S)
    return fixed >> SURPLUS_BITS


def warp(
    images: Tensor, matrices: Tensor, bilinear: bool, moved: Tensor | None = None, *, whole: bool = False
) -> Tensor:
    """Transform images.

    Args:
        images: uint8 (n, S, S).
        matrices: output-to-input affine matrices, int32 (n, 2, 3).
        bilinear: interpolate, rather than take the nearest pixel.
        moved: displacements that are added to the input points, int32 (n, 2, S, S).
        whole: interpolate to whole grey levels, as filters take them.

    Returns:
        float32 (n, S, S) in 0–255.
    """
    pixel = torch.arange(S, dtype=torch.int32, device=images.device)
    # (n, S, S) in 16.16 fixed point: the input point of each output pixel's centre.
    x, y = (
        m[:, 0, None, None] * pixel + (m[:, 1, None] * pixel + m[:, 2, None])[:, :, None]
        for m in matrices.unbind(1)
    )
    if moved is not None:
        x, y = x + moved[:, 0], y + moved[:, 1]
    # A frame of background around the image stands for everything outside it.
    framed = nn.functional.pad(images, (1, 1, 1, 1)).flatten(1)
    if not bilinear:
        return _pixels(framed, x >> FRACTION_BITS, y >> FRACTION_BITS)
    half = 1 << (FRACTION_BITS - 1)
    x, y = x - half, y - half
    left, top = x >> FRACTION_BITS, y >> FRACTION_BITS
    fraction_x, fraction_y = (
        (v & ((1 << FRACTION_BITS) - 1)).to(torch.float32) / (1 << FRACTION_BITS) for v in (x, y)
    )
    if whole:  # in units of 1/256, so that no product or sum is rounded
        fraction_x, fraction_y = ((v * 256).floor() / 256 for v in (fraction_x, fraction_y))
    upper, lower = (
        (1 - fraction_x) * _pixels(framed, left, row) + fraction_x * _pixels(framed, left + 1, row)
        for row in (top, top + 1)
    )
    sampled = (1 - fraction_y) * upper + fraction_y * lower
    return (sampled + 0.5).floor() if whole else sampled


def _pixels(framed: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Gather pixels, float32 (n, S, S), from framed images (n, (S + 2)²)."""
    index = (row.clamp(-1, S) + 1) * (S + 2) + (column.clamp(-1, S) + 1)
    return framed.gather(1, index.flatten(1).long()).view(index.shape).to(torch.float32)


class PlannedDropout(nn.Module):
    """Dropout with the plan's hashed masks, the same on every engine and device.

    It drops elements or, with ``channels``, whole channels: the elements of (n, C).
    """

    def __init__(self, layer: int, probability: float, channels: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.probability = probability
        self.channels = channels
        self.seed = 0
        self.positions = torch.empty(0, dtype=torch.int32)
        self.register_buffer("element", torch.empty(0, dtype=torch.int32), persistent=False)
        self.element: Tensor

    def set_batch(self, seed: int, positions: Tensor) -> None:
        """Set the epoch's dropout seed and the images' positions in the epoch, int32 (n,)."""
        self.seed, self.positions = seed, positions

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.probability == 1:
            return x * 0
        shape = (*x.shape[:2], *(1,) * (x.dim() - 2)) if self.channels else x.shape
        elements = math.prod(shape[1:])
        if len(self.element) != elements:  # (E,)
            self.element = mix(torch.arange(elements, dtype=torch.int32, device=x.device))
        layer_key = mix(_signed(self.seed ^ self.layer, x.device))
        key = mix(layer_key ^ self.positions)  # (n,)
        hashed = mix(key[:, None] ^ self.element)  # (n, E)
        # Unsigned comparison on signed integers: flip the sign bit on both sides.
        threshold = dropout_threshold(self.probability) - 2**31
        keep = hashed.bitwise_xor_(-(2**31)) >= threshold
        return x * keep.view(shape) * (1 / (1 - self.probability))


def mix(value: Tensor) -> Tensor:
    """Compute the hash of ``plan`` on int32 read as unsigned; PyTorch's products wrap around."""
    mixed = (value >> 16).bitwise_and_(0xFFFF).bitwise_xor_(value).mul_(_wrap(MIX_FIRST))
    return mixed.bitwise_xor_((mixed >> 15).bitwise_and_(0x1FFFF)).mul_(_wrap(MIX_SECOND))


def _wrap(value: int) -> int:
    """Return the int32 with the bits of the unsigned ``value``."""
    return int(np.uint32(value).view(np.int32))


def _signed(value: int, device: torch.device) -> Tensor:
    return torch.tensor([_wrap(value)], dtype=torch.int32, device=device)
