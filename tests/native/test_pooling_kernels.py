"""Pooling of any window, by maximum and average, against loops in NumPy and PyTorch's shapes in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.operation_kernels import Double, assert_near, draw, groups, run, wide
from tests.support.single_kernels import EPS, ISAS, Array

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pool:
    shape: tuple[int, int, int]
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Pair = (0, 0)
    ceil: bool = False
    count_padding: bool = True
    size: Pair | None = None
    """Of an adaptive pooling's output."""

    @property
    def window(self) -> tuple[int, ...]:
        return (*self.kernel, *self.stride, *self.padding, 1, 1)

    def torch(self, x: Tensor, maximum: bool) -> Tensor:
        if self.size:
            return (F.adaptive_max_pool2d if maximum else F.adaptive_avg_pool2d)(x, self.size)
        common = (x, self.kernel, self.stride, self.padding)
        if maximum:
            return F.max_pool2d(*common, ceil_mode=self.ceil)
        return F.avg_pool2d(*common, self.ceil, self.count_padding)

    @property
    def output(self) -> tuple[int, int, int]:
        channels, rows, columns = self.torch(torch.zeros(1, *self.shape), True).shape[1:]
        return (channels, rows, columns)

    def ranges(self, axis: int) -> list[tuple[int, int, int]]:
        """The first pixel, the end and the number with padding of each window along an axis."""
        side, outputs = self.shape[1 + axis], self.output[1 + axis]
        if self.size:
            spans = [(i * side // outputs, -(-(i + 1) * side // outputs)) for i in range(outputs)]
            return [(first, end, end - first) for first, end in spans]
        kernel, stride, padding = self.kernel[axis], self.stride[axis], self.padding[axis]
        starts = [i * stride - padding for i in range(outputs)]
        return [
            (max(start, 0), min(start + kernel, side), min(start + kernel, side + padding) - start)
            for start in starts
        ]

    def windows(self) -> list[tuple[int, int, slice, slice, int]]:
        """Each output pixel with its window on the map and what an average is divided by."""
        found = []
        for y, (top, bottom, high) in enumerate(self.ranges(0)):
            for x, (left, right, broad) in enumerate(self.ranges(1)):
                inside = (bottom - top) * (right - left)
                divisor = high * broad if self.count_padding else inside
                found.append((y, x, slice(top, bottom), slice(left, right), divisor))
        return found

    def forward(self, x: Double, maximum: bool) -> Double:
        out = np.zeros((len(x), *self.output))
        for i, j, rows, columns, divisor in self.windows():
            window = x[:, :, rows, columns]
            out[:, :, i, j] = window.max((2, 3)) if maximum else window.sum((2, 3)) / divisor
        return out

    def gradient(self, x: Double, out_gradient: Double, maximum: bool) -> Double:
        found = np.zeros_like(x)
        for i, j, rows, columns, divisor in self.windows():
            given, target = out_gradient[:, :, i, j], found[:, :, rows, columns]
            if not maximum:
                target += (given / divisor)[:, :, None, None]
                continue
            flat = x[:, :, rows, columns].reshape(*given.shape, -1)
            first = flat.argmax(2)  # NumPy documents that it is the first
            y, column = np.divmod(first, target.shape[3])
            image, channel = np.indices(given.shape)
            target[image, channel, y, column] += given
        return found


POOLS = [
    Pool((3, 28, 28)),
    Pool((5, 13, 13)),
    Pool((2, 7, 5)),
    Pool((3, 3, 3)),
    Pool((1, 2, 2)),
    Pool((4, 1, 1), (1, 1), (1, 1)),
    Pool((3, 13, 13), ceil=True),
    Pool((3, 13, 13), ceil=True, count_padding=False),
    Pool((2, 9, 8), (3, 3), (2, 2), (1, 1)),
    Pool((2, 9, 8), (3, 3), (2, 2), (1, 1), count_padding=False),
    Pool((2, 10, 8), (3, 3), (2, 2), (1, 1), ceil=True),
    Pool((2, 10, 8), (3, 2), (1, 1), (1, 1)),
    Pool((2, 10, 11), (2, 3), (3, 4), ceil=True),
    Pool((3, 7, 7), (7, 7), (7, 7)),
    Pool((3, 7, 7), (3, 3), (1, 1), (1, 1), count_padding=False),
    Pool((6, 13, 13), size=(1, 1)),
    Pool((6, 7, 5), size=(3, 2)),
    Pool((2, 3, 3), size=(7, 7)),
    Pool((2, 4, 6), size=(4, 6)),
]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def coarse(generator: np.random.Generator, *shape: int) -> Array:
    """Numbers of which many are equal."""
    return (generator.integers(-2, 3, shape) / 4).astype(np.float32)


@pytest.mark.parametrize("maximum", [True, False])
def test_pooling(isa: str, maximum: bool) -> None:
    generator = np.random.default_rng(1)
    for pool in POOLS:
        for images in groups(isa):
            x = draw(generator, images, *pool.shape)
            settings = (pool.window, maximum, pool.count_padding, pool.size is not None)
            found = run(isa, lambda ops, x=x, s=settings, o=pool.output: ops.pool(x, *s, o))
            expected = pool.forward(wide(x), maximum)
            assert_near(pool.torch(torch.from_numpy(wide(x)), maximum).numpy(), expected, 1e-13)
            bound = 0.0 if maximum else 8 * EPS * pool.forward(np.abs(wide(x)), False)
            assert_near(found, expected, bound)


@pytest.mark.parametrize("maximum", [True, False])
def test_gradient(isa: str, maximum: bool) -> None:
    """Of equal maxima the first one takes it."""
    generator = np.random.default_rng(2)
    for pool in POOLS:
        for images in groups(isa):
            x, gradient = coarse(generator, images, *pool.shape), draw(generator, images, *pool.output)
            settings = (pool.window, maximum, pool.count_padding, pool.size is not None)
            expected = pool.gradient(wide(x), wide(gradient), maximum)
            exact = torch.from_numpy(wide(x)).requires_grad_()
            (by_torch,) = torch.autograd.grad(
                pool.torch(exact, maximum), exact, torch.from_numpy(wide(gradient))
            )
            assert_near(by_torch.numpy(), expected, 1e-13)
            bound = 8 * EPS * pool.gradient(wide(x), np.abs(wide(gradient)), maximum)
            found = run(isa, lambda ops, x=x, g=gradient, s=settings: ops.pool_gradient(x, g, *s))
            assert_near(found, expected, bound)
            before = draw(generator, images, *pool.shape)
            found = run(
                isa, lambda ops, x=x, g=gradient, s=settings, b=before: ops.pool_gradient(x, g, *s, b)
            )
            assert_near(found, before + expected, bound + 8 * EPS * np.abs(before))


@pytest.mark.parametrize("maximum", [True, False])
def test_a_nan_is_passed_on(isa: str, maximum: bool) -> None:
    settings = ((2, 2, 2, 2, 0, 0, 1, 1), maximum, True, False, (1, 1, 1))
    for at in range(4):
        x = np.ones((1, 1, 2, 2), np.float32)
        x.flat[at] = np.nan
        found = run(isa, lambda ops, x=x: ops.pool(x, *settings))
        assert np.isnan(found).all()
