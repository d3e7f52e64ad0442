"""Convolutions of any kernel, stride, padding, dilation and groups, and linear layers, against NumPy.

NumPy's are of float64. A float32 sum of n products is off by about √n roundings of the sum of their
magnitudes; a wrong index, weight, tap or tile is off by thousands of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.support.operation_kernels import Double, assert_near, draw, groups, run, wide
from tests.support.single_kernels import EPS, ISAS, Array

Pair = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    channels: int
    rows: int
    columns: int
    outputs: int
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def window(self) -> tuple[int, ...]:
        return (*self.kernel, *self.stride, *self.padding, *self.dilation)

    @property
    def input(self) -> tuple[int, int, int]:
        return (self.channels, self.rows, self.columns)

    @property
    def output(self) -> tuple[int, int, int]:
        sides = (
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, stride, padding, dilation in zip(
                (self.rows, self.columns), self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        rows, columns = sides
        return (self.outputs, rows, columns)

    @property
    def weights(self) -> tuple[int, int, int, int]:
        return (self.outputs, self.channels // self.groups, *self.kernel)


SHAPES = [
    Shape(1, 28, 28, 8, padding=(1, 1)),
    Shape(8, 13, 13, 11, padding=(1, 1)),
    Shape(5, 3, 3, 7, padding=(1, 1)),
    Shape(3, 1, 1, 5, padding=(1, 1)),
    Shape(3, 7, 5, 4),
    Shape(4, 7, 5, 9, padding=(2, 0)),
    # 1×1, 5×5, 7×7, and kernels that are not square.
    Shape(9, 13, 13, 14, kernel=(1, 1)),
    Shape(33, 3, 3, 17, kernel=(1, 1)),
    Shape(6, 5, 7, 3, kernel=(1, 1), stride=(2, 2)),
    Shape(1, 28, 28, 6, kernel=(5, 5)),
    Shape(3, 13, 13, 5, kernel=(5, 5), padding=(2, 2)),
    Shape(2, 13, 13, 3, kernel=(7, 7), padding=(3, 3)),
    Shape(3, 9, 11, 4, kernel=(2, 2)),
    Shape(3, 9, 11, 4, kernel=(1, 5), padding=(0, 2)),
    Shape(3, 9, 11, 4, kernel=(4, 3), stride=(1, 3), padding=(2, 1)),
    # Strides, some of which leave pixels unseen, and dilation.
    Shape(4, 28, 28, 6, stride=(2, 2), padding=(1, 1)),
    Shape(4, 13, 13, 5, stride=(2, 2), padding=(1, 1)),
    Shape(3, 13, 13, 2, stride=(3, 3)),
    Shape(2, 14, 13, 3, kernel=(2, 2), stride=(3, 4)),
    Shape(3, 13, 13, 5, padding=(2, 2), dilation=(2, 2)),
    Shape(3, 13, 13, 5, stride=(2, 2), padding=(3, 2), dilation=(3, 2)),
    Shape(2, 11, 12, 3, stride=(2, 2), dilation=(2, 1)),
    Shape(2, 5, 5, 3, padding=(4, 4)),
    # Groups, depthwise with one and two outputs for each channel.
    Shape(6, 13, 13, 9, padding=(1, 1), groups=3),
    Shape(7, 13, 13, 7, padding=(1, 1), groups=7),
    Shape(5, 7, 5, 10, padding=(1, 1), stride=(2, 2), groups=5),
    Shape(4, 3, 3, 4, kernel=(3, 3), groups=4),
    Shape(8, 6, 6, 4, kernel=(5, 5), padding=(2, 2), groups=2),
    # Linear: of features, and of a flattened map.
    Shape(1, 1, 1, 1, kernel=(1, 1)),
    Shape(37, 1, 1, 10, kernel=(1, 1)),
    Shape(130, 1, 1, 67, kernel=(1, 1)),
    Shape(1, 28, 28, 13, kernel=(28, 28)),
    Shape(5, 7, 5, 10, kernel=(7, 5)),
    Shape(12, 3, 3, 33, kernel=(3, 3)),
    # Of few pixels, whose weight gradient is a matrix product; and one more.
    Shape(5, 4, 4, 6, padding=(0, 0)),
    Shape(5, 3, 4, 6, padding=(0, 1), groups=1),
    Shape(6, 4, 3, 4, kernel=(3, 3), groups=2),
    Shape(17, 2, 2, 5, kernel=(1, 1)),
    Shape(3, 5, 1, 4, kernel=(1, 1)),
]  # fmt: skip


class Case:
    """Numbers for a shape, float32, and the convolution of float64 arrays."""

    def __init__(self, shape: Shape, images: int) -> None:
        generator = np.random.default_rng(images)
        self.shape, self.images = shape, images
        self.input = draw(generator, images, *shape.input)
        self.weights = draw(generator, *shape.weights)
        self.gradient = draw(generator, images, *shape.output)
        self.bias, self.pivot = draw(generator, shape.outputs), draw(generator, shape.outputs)
        self.scale = generator.uniform(0.5, 2, shape.outputs).astype(np.float32)

    def taps(self, padded: Double) -> Any:
        """For each tap, what lies under it in every output pixel, a view of the padded input."""
        _, rows, columns = self.shape.output
        for ky in range(self.shape.kernel[0]):
            for kx in range(self.shape.kernel[1]):
                top, left = ky * self.shape.dilation[0], kx * self.shape.dilation[1]
                yield ky, kx, padded[
                    :, :,
                    top : top + (rows - 1) * self.shape.stride[0] + 1 : self.shape.stride[0],
                    left : left + (columns - 1) * self.shape.stride[1] + 1 : self.shape.stride[1],
                ]  # fmt: skip

    def padded(self, input: Double) -> Double:
        (top, left) = self.shape.padding
        return np.pad(input, ((0, 0), (0, 0), (top, top), (left, left)))

    def by_group(self, array: Double, axis: int) -> list[Double]:
        return np.split(array, self.shape.groups, axis)

    def convolved(self, input: Double, weights: Double) -> Double:
        output = np.zeros((self.images, *self.shape.output))
        for ky, kx, under in self.taps(self.padded(input)):
            parts = zip(self.by_group(under, 1), self.by_group(weights, 0), strict=True)
            output += np.concatenate(
                [np.einsum("nihw,oi->nohw", values, weight[:, :, ky, kx]) for values, weight in parts], 1
            )
        return output

    def input_gradient(self, gradient: Double, weights: Double) -> Double:
        padded = self.padded(np.zeros((self.images, *self.shape.input)))
        for ky, kx, under in self.taps(padded):
            parts = zip(self.by_group(gradient, 1), self.by_group(weights, 0), strict=True)
            under += np.concatenate(
                [np.einsum("nohw,oi->nihw", values, weight[:, :, ky, kx]) for values, weight in parts], 1
            )
        top, left = self.shape.padding
        return padded[:, :, top : top + self.shape.rows, left : left + self.shape.columns]

    def weight_gradient(self, input: Double, gradient: Double) -> Double:
        found = np.zeros(self.shape.weights)
        for ky, kx, under in self.taps(self.padded(input)):
            parts = zip(self.by_group(gradient, 1), self.by_group(under, 1), strict=True)
            found[:, :, ky, kx] = np.concatenate(
                [np.einsum("nohw,nihw->oi", one, other) for one, other in parts]
            )
        return found


def cases(isa: str) -> list[Case]:
    """Every shape with a whole group or, in turn, a partial one."""
    sizes = groups(isa)
    return [Case(shape, sizes[number % len(sizes)]) for number, shape in enumerate(SHAPES)]


def rounding(terms: int) -> float:
    return (6 + terms**0.5) * EPS


def terms(shape: Shape) -> int:
    return int(np.prod(shape.weights[1:]))


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_convolution(isa: str) -> None:
    for case in cases(isa):
        shape, size = case.shape, rounding(terms(case.shape))
        magnitude = case.convolved(np.abs(wide(case.input)), np.abs(wide(case.weights)))
        expected = case.convolved(wide(case.input), wide(case.weights))
        for bias in (None, case.bias):
            found, _ = run(
                isa,
                lambda ops, case=case, bias=bias: ops.convolve(
                    case.input, case.weights, bias, case.shape.window, case.shape.groups, case.shape.output
                ),
            )
            offset = 0.0 if bias is None else wide(bias)[:, None, None]
            assert found.shape == (case.images, *shape.output)
            assert_near(found, expected + offset, size * (magnitude + np.abs(offset)))


def test_folded_batch_norm_and_relu(isa: str) -> None:
    for case in cases(isa):
        found, _ = run(
            isa,
            lambda ops, case=case: ops.convolve(
                case.input, case.weights, case.bias, case.shape.window, case.shape.groups, case.shape.output,
                scale=case.scale, finish="relu",
            ),
        )  # fmt: skip
        scaled = wide(case.weights) * wide(case.scale)[:, None, None, None]
        bias = wide(case.bias)[:, None, None]
        bound = case.convolved(np.abs(wide(case.input)), np.abs(scaled)) + np.abs(bias)
        expected = np.maximum(case.convolved(wide(case.input), scaled) + bias, 0)
        assert_near(found, expected, rounding(terms(case.shape)) * bound)


@pytest.mark.parametrize("finish", ["statistics", "relu"])
def test_statistics_of_the_valid_images(isa: str, finish: str) -> None:
    """Of the output, or of ReLU's."""
    for case in cases(isa):
        shape = case.shape
        arguments = (case.input, case.weights, case.bias, shape.window, shape.groups, shape.output)
        plain, _ = run(isa, lambda ops, a=arguments: ops.convolve(*a))
        found, sums = run(
            isa, lambda ops, a=arguments, p=case.pivot: ops.convolve(*a, finish=finish, pivot=p)
        )
        np.testing.assert_array_equal(found, np.maximum(plain, 0) if finish == "relu" else plain)
        deviation = wide(found) - wide(case.pivot)[:, None, None]
        expected = np.stack([deviation.sum((0, 2, 3)), (deviation**2).sum((0, 2, 3))])
        bound = np.stack([np.abs(deviation).sum((0, 2, 3)), expected[1]])
        # Where ReLU made many deviations equal, the roundings of their sum are equal, too.
        assert_near(sums, expected, (40 if finish == "relu" else 12) * EPS * bound)


def test_input_gradient(isa: str) -> None:
    for case in cases(isa):
        shape = case.shape
        gradient, weights = wide(case.gradient), wide(case.weights)
        expected = case.input_gradient(gradient, weights)
        bound = case.input_gradient(np.abs(gradient), np.abs(weights))
        size = rounding(shape.outputs * shape.kernel[0] * shape.kernel[1])
        for before in (None, case.input):
            found = run(
                isa,
                lambda ops, case=case, before=before: ops.convolve_input_gradient(
                    case.gradient,
                    case.weights,
                    case.shape.window,
                    case.shape.groups,
                    case.shape.input,
                    before,
                ),
            )
            start = 0.0 if before is None else wide(before)
            assert_near(found, start + expected, size * (bound + np.abs(start)))


def test_weight_gradient(isa: str) -> None:
    """Junk in the invalid lanes of both maps reaches no sum."""
    for case in cases(isa):
        shape = case.shape
        expected = case.weight_gradient(wide(case.input), wide(case.gradient))
        bound = case.weight_gradient(np.abs(wide(case.input)), np.abs(wide(case.gradient)))
        size = rounding(case.images * shape.output[1] * shape.output[2])
        for before in (None, case.weights):
            found = run(
                isa,
                lambda ops, case=case, before=before: ops.convolve_weight_gradient(
                    case.input, case.gradient, case.shape.window, case.shape.groups,
                    None if before is None else before.ravel(),
                ),
            )  # fmt: skip
            start = 0.0 if before is None else wide(before)
            assert_near(found, start + expected, size * (bound + np.abs(start)))


def test_bias_gradient(isa: str) -> None:
    for case in cases(isa):
        expected = wide(case.gradient).sum((0, 2, 3))
        bound = 12 * EPS * np.abs(wide(case.gradient)).sum((0, 2, 3))
        found = run(isa, lambda ops, case=case: ops.bias_gradient(case.gradient))
        assert_near(found, expected, bound)
        found = run(isa, lambda ops, case=case: ops.bias_gradient(case.gradient, case.bias))
        assert_near(found, expected + case.bias, bound + EPS * np.abs(case.bias))


def test_a_tap_of_another_pixel_is_found(isa: str) -> None:
    """The bounds are so tight that a fault in one weight, or one pixel's, breaks them."""
    case = Case(Shape(4, 13, 13, 5, stride=(2, 2), padding=(1, 1)), 3)
    window, shape = case.shape.window, case.shape

    def convolve(ops: Any, weights: Array) -> Any:
        return ops.convolve(case.input, weights, None, window, 1, shape.output)[0]

    shifted = case.weights.copy()
    shifted[2, 3] = np.roll(shifted[2, 3], 1, 1)
    magnitude = case.convolved(np.abs(wide(case.input)), np.abs(wide(case.weights)))
    found = run(isa, lambda ops: convolve(ops, shifted))
    expected = case.convolved(wide(case.input), wide(case.weights))
    with pytest.raises(AssertionError, match="times the bound"):
        assert_near(found, expected, rounding(terms(shape)) * magnitude)
