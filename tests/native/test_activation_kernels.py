"""BatchNorm, ReLU, pooling and dropout, each kernel alone, against PyTorch in float64.

Inputs and factors are small multiples of 1/16, so that float32 computes y exactly: it decides at ReLU and
pooling as float64 does, and ties are ties in both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tests.support.single_kernels import EPS, ISAS, LANES, Array, assert_within, double, kernels
from under20k.recipe.plan import MIX_FIRST, MIX_SECOND, dropout_keep, dropout_threshold

SEED, LAYER, POSITION = 12345, 2, 77
SHAPES = [(1, 1, 1), (3, 2, 2), (5, 3, 3), (8, 7, 7), (2, 5, 14), (12, 28, 28)]  # channels, rows, columns


def mix(value: NDArray[np.uint32]) -> NDArray[np.uint32]:
    mixed = (value ^ (value >> np.uint32(16))) * np.uint32(MIX_FIRST)
    return (mixed ^ (mixed >> np.uint32(15))) * np.uint32(MIX_SECOND)


class Block:
    """A block's activation with numbers for it, and the same in PyTorch."""

    def __init__(
        self, isa: str, shape: tuple[int, int, int], pool: bool, dropout: float, images: int
    ) -> None:
        generator = np.random.default_rng(3)
        channels, rows, columns = shape
        self.isa, self.pool, self.dropout, self.images = isa, pool, dropout, images

        def multiples(least: int, most: int, *sizes: int) -> Array:
            return (generator.integers(least, most, sizes, endpoint=True) / 16).astype(np.float32)

        self.z = multiples(-16, 16, images, *shape)
        self.scale = multiples(1, 16, channels) * generator.choice([-1, 1], channels).astype(np.float32)
        self.shift = multiples(-8, 8, channels)
        out = (rows // 2, columns // 2) if pool else (rows, columns)
        self.out_gradient = generator.standard_normal((images, channels, *out)).astype(np.float32)
        self.factors = generator.standard_normal((3, channels)).astype(np.float32)
        elements = channels * out[0] * out[1]
        positions = np.arange(POSITION, POSITION + images, dtype=np.int32)
        keep = dropout_keep(SEED, LAYER, positions, elements, dropout)
        self.mask = double(keep.reshape(images, channels, *out)) / (1 - dropout)
        self.common: dict[str, Any] = {"isa": isa, "z": self.z, "pool": pool} | {
            "scale": self.scale, "shift": self.shift,
        }  # fmt: skip
        self.random: dict[str, Any] = {
            "dropout_threshold": dropout_threshold(dropout),
            "dropout_scale": 1 / (1 - dropout),
            "dropout_hashes": mix(np.arange(max(elements, 1), dtype=np.uint32)),
            "layer_key": int(mix(np.array([SEED ^ LAYER], np.uint32))[0]),
            "position": POSITION,
        }

    def normalised(self) -> Tensor:
        """BatchNorm's output y, a leaf of its own, (images, channels, rows, columns)."""
        y = double(self.scale)[:, None, None] * double(self.z) + double(self.shift)[:, None, None]
        return y.requires_grad_()

    def forward(self, y: Tensor) -> Tensor:
        out = F.relu(y)
        return F.max_pool2d(out, 2) if self.pool else out

    def gradient(self, out_gradient: Tensor) -> Tensor:
        """Of y, for the gradient of the block's output before dropout."""
        y = self.normalised()
        if out_gradient.numel() == 0:
            return torch.zeros_like(y)
        (gradient,) = torch.autograd.grad(self.forward(y), y, out_gradient)
        return gradient


def blocks(isa: str, dropouts: tuple[float, ...] = (0.0, 0.5, 0.3)) -> list[Block]:
    lanes = LANES[isa]
    return [
        Block(isa, shape, pool, dropout, images)
        for shape in SHAPES
        for pool in ([False, True] if min(shape[1:]) > 1 else [False])
        for dropout in dropouts
        for images in (lanes, lanes - 1)
    ]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    kernels(request.param)
    return str(request.param)


def test_activate(isa: str) -> None:
    for block in blocks(isa):
        found = kernels(isa).activate(**block.common, **block.random)
        expected = block.forward(block.normalised()) * block.mask
        assert_within(found, expected, 2 * EPS * expected.abs())
        np.testing.assert_array_equal(found == 0, expected.detach().numpy() == 0)


def test_activation_sums(isa: str) -> None:
    """The gradients of BatchNorm's shift and scale, and dropout's mask on the gradient."""
    for block in blocks(isa):
        inverse_sd, offset = np.abs(block.factors[0]), block.factors[1]
        sums, masked = kernels(isa).activation_sums(
            **block.common, **block.random, out_gradient=block.out_gradient, inverse_sd=inverse_sd,
            normalised_offset=offset,
        )  # fmt: skip
        expected_masked = double(block.out_gradient) * block.mask
        assert_within(masked, expected_masked, 2 * EPS * expected_masked.abs())
        gradient = block.gradient(expected_masked)
        normalised = double(inverse_sd)[:, None, None] * double(block.z) + double(offset)[:, None, None]
        sizes = (
            double(inverse_sd)[:, None, None] * double(block.z).abs() + double(offset).abs()[:, None, None]
        )
        expected = torch.stack([gradient.sum((0, 2, 3)), (gradient * normalised).sum((0, 2, 3))])
        bound = torch.stack([gradient.abs().sum((0, 2, 3)), (gradient.abs() * sizes).sum((0, 2, 3))])
        assert_within(sums, expected, 6 * EPS * bound)


def test_activation_gradient(isa: str) -> None:
    """In the lanes in use; in the others it is zero."""
    for block in blocks(isa, dropouts=(0.0,)):
        grad_scale, z_scale, offset = block.factors
        found = kernels(isa).activation_gradient(
            **block.common, out_gradient=block.out_gradient, grad_scale=grad_scale, z_scale=z_scale,
            offset=offset,
        )  # fmt: skip
        a, b, c = (double(factor)[:, None, None] for factor in block.factors)
        gradient, z = block.gradient(double(block.out_gradient)), double(block.z)
        bound = 3 * EPS * ((a * gradient).abs() + (b * z).abs() + c.abs())
        assert_within(found[: block.images], a * gradient + b * z + c, bound)
        assert not found[block.images :].any()


def test_of_equal_maxima_the_first_takes_the_gradient(isa: str) -> None:
    """Of all patterns of ties in a window, at both signs of the scale."""
    patterns = np.stack(np.meshgrid(*[[0.0, 0.5, 1.0]] * 4), axis=-1).reshape(-1, 2, 2).astype(np.float32)
    z = np.ascontiguousarray(patterns[None])  # a channel a pattern
    channels = len(patterns)
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    for sign in (ones, -ones):
        found = kernels(isa).activation_gradient(
            isa=isa, z=z, pool=True, scale=sign, shift=ones / 4, grad_scale=ones, z_scale=zeros,
            offset=zeros, out_gradient=np.ones((1, channels, 1, 1), np.float32),
        )  # fmt: skip
        windows = (z * sign[:, None, None] + 0.25).reshape(channels, 4)
        expected = np.zeros_like(windows)
        expected[np.arange(channels), windows.argmax(1)] = 1  # NumPy documents that it is the first
        expected[windows.max(1) <= 0] = 0
        np.testing.assert_array_equal(found[0].reshape(channels, 4), expected)


def test_nan_passes_relu_and_pooling(isa: str) -> None:
    z = np.full((1, 1, 2, 2), np.nan, np.float32)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    for pool in (False, True):
        found = kernels(isa).activate(
            isa=isa, z=z, pool=pool, scale=one, shift=zero, dropout_threshold=0, dropout_scale=1.0,
            dropout_hashes=np.zeros(4, np.uint32), layer_key=0, position=0,
        )  # fmt: skip
        assert np.isnan(found).all()
