"""Each convolution kernel alone, of every instruction set, method and tile, against PyTorch in float64.

A float32 sum is off by at most a few roundings of the sum of its terms' magnitudes; Winograd's points amplify
that, and mix the columns of a tile. The factors leave room for other orders of addition; a wrong index,
weight, sign or tile is off by thousands of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.single_kernels import EPS, ISAS, LANES, Array, assert_within, double, kernels

DIRECT, WINOGRAD = 8 * EPS, 60 * EPS


@dataclass(frozen=True)
class Shape:
    kernel: int
    padding: int
    inputs: int
    outputs: int
    side: int

    def __str__(self) -> str:
        window = f"{self.kernel}x{self.kernel} pad {self.padding}"
        return f"{window}, {self.inputs} to {self.outputs} channels, side {self.side}"

    @property
    def out_side(self) -> int:
        return self.side + 2 * self.padding - self.kernel + 1


SHAPES = [
    # The layers of the named recipes.
    Shape(3, 1, 1, 8, 28), Shape(3, 1, 8, 12, 28), Shape(3, 1, 12, 14, 14), Shape(3, 1, 14, 16, 14),
    Shape(3, 0, 16, 20, 7), Shape(3, 0, 20, 24, 5), Shape(3, 0, 24, 10, 3), Shape(1, 0, 24, 10, 1),
    # Odd sizes: maps smaller than a kernel, a column too many for a tile or a pair, channels of all tiles.
    Shape(3, 1, 3, 5, 1), Shape(3, 1, 2, 3, 2), Shape(3, 0, 1, 1, 3), Shape(1, 0, 1, 1, 28),
    Shape(1, 0, 5, 7, 9), Shape(1, 0, 17, 13, 6), Shape(3, 1, 4, 4, 7), Shape(3, 1, 5, 9, 8),
    Shape(3, 0, 7, 6, 11), Shape(3, 1, 3, 30, 9), Shape(3, 1, 30, 3, 9), Shape(3, 0, 33, 4, 9),
    Shape(3, 1, 6, 26, 6), Shape(3, 1, 11, 5, 4), Shape(3, 1, 40, 2, 3),
    *(Shape(3, 1, 4, outputs, 10) for outputs in range(5, 19)),
    *(Shape(3, 1, 2, outputs, 1 + outputs % 6) for outputs in range(1, 19)),
]  # fmt: skip
# Only by Winograd's method, and not in bf16.
LARGE_KERNELS = [
    Shape(5, 0, 8, 16, 12), Shape(5, 0, 4, 6, 5), Shape(5, 2, 4, 4, 1), Shape(5, 1, 5, 9, 4),
    Shape(5, 2, 33, 7, 6), Shape(5, 2, 6, 17, 13), Shape(5, 1, 13, 5, 28),
]  # fmt: skip


@dataclass
class Case:
    """Numbers for a shape: inputs, weights and z's gradient, float32, and what they are multiplied as."""

    shape: Shape
    images: int
    bf16: bool

    def __post_init__(self) -> None:
        generator = np.random.default_rng(self.images)
        shape = self.shape

        def draw(*sizes: int) -> Array:
            return generator.standard_normal(sizes).astype(np.float32)

        self.input = draw(self.images, shape.inputs, shape.side, shape.side)
        self.weights = draw(shape.outputs, shape.inputs, shape.kernel, shape.kernel)
        self.z_gradient = draw(self.images, shape.outputs, shape.out_side, shape.out_side)
        self.bias, self.pivot = draw(shape.outputs), draw(shape.outputs)
        self.scale = generator.uniform(0.5, 2, shape.outputs).astype(np.float32)

    def factor(self, values: Array) -> Tensor:
        rounded = torch.from_numpy(values).bfloat16() if self.bf16 else values
        return double(np.asarray(rounded.double()) if isinstance(rounded, Tensor) else rounded)

    def convolved(self, input: Tensor, weights: Tensor) -> Tensor:
        return F.conv2d(input, weights, padding=self.shape.padding)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["fp32", "bf16"])
def bf16(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def cases(isa: str, bf16: bool) -> list[Case]:
    """A whole group, and a group with a single lane to spare or in use."""
    lanes = LANES[isa]
    shapes = SHAPES if bf16 else SHAPES + LARGE_KERNELS
    return [Case(shape, images, bf16) for shape in shapes for images in (lanes, lanes - 1, 1)]


def methods(isa: str, case: Case) -> tuple[str, str, str]:
    shape = case.shape
    found: tuple[str, str, str] = kernels(isa).methods(
        isa=isa, kernel=shape.kernel, padding=shape.padding, inputs=shape.inputs, outputs=shape.outputs,
        side=shape.side, bf16=case.bf16,
    )  # fmt: skip
    return found


def rounding(method: str, magnitudes: Tensor) -> Tensor:
    """The bound on a method's rounding, from the sums of its terms' magnitudes."""
    return WINOGRAD * magnitudes.max() if method == "winograd" else DIRECT * magnitudes


def test_the_shapes_take_every_method(isa: str) -> None:
    kernels(isa)
    for bf16, expected in ((False, {"direct", "winograd"}), (True, {"bf16"})):
        forward, backward, gradient = (
            set(found) for found in zip(*(methods(isa, case) for case in cases(isa, bf16)), strict=True)
        )
        assert forward == backward == expected
        assert gradient == (expected | {"transposed"} if not bf16 else expected)


def test_convolve(isa: str, bf16: bool) -> None:
    for case in cases(isa, bf16):
        found, _ = kernels(isa).convolve(
            isa=isa,
            input=case.input,
            weights=case.weights,
            bias=case.bias,
            padding=case.shape.padding,
            bf16=bf16,
        )
        input, weights = case.factor(case.input), case.factor(case.weights)
        bias = double(case.bias)[:, None, None]
        expected = case.convolved(input, weights) + bias
        magnitudes = case.convolved(input.abs(), weights.abs()) + bias.abs()
        assert_within(found, expected, rounding(methods(isa, case)[0], magnitudes))


def test_convolve_with_scaled_weights_and_relu(isa: str) -> None:
    for case in cases(isa, bf16=False):
        arguments = {
            "isa": isa, "input": case.input, "weights": case.weights, "bias": case.bias,
            "padding": case.shape.padding, "scale": case.scale,
        }  # fmt: skip
        plain, _ = kernels(isa).convolve(**arguments)
        rectified, _ = kernels(isa).convolve(**arguments, finish="relu")
        input, scaled = double(case.input), double(case.weights) * double(case.scale)[:, None, None, None]
        bias = double(case.bias)[:, None, None]
        magnitudes = case.convolved(input.abs(), scaled.abs()) + bias.abs()
        assert_within(
            plain, case.convolved(input, scaled) + bias, rounding(methods(isa, case)[0], magnitudes)
        )
        np.testing.assert_array_equal(rectified, np.maximum(plain, 0))


def test_a_convolution_counts_its_statistics(isa: str, bf16: bool) -> None:
    """Of the values that it stores, about any pivot, in the lanes in use only."""
    for case in cases(isa, bf16):
        found, sums = kernels(isa).convolve(
            isa=isa, input=case.input, weights=case.weights, bias=case.bias, padding=case.shape.padding,
            bf16=bf16, pivot=case.pivot,
        )  # fmt: skip
        assert_statistics(sums, found, case.pivot)
        separately = kernels(isa).map_statistics(isa=isa, values=found, pivot=case.pivot)
        assert_statistics(separately, found, case.pivot)
        rectified, sums = kernels(isa).convolve(
            isa=isa, input=case.input, weights=case.weights, bias=case.bias, padding=case.shape.padding,
            bf16=bf16, finish="relu", pivot=case.pivot,
        )  # fmt: skip
        np.testing.assert_array_equal(rectified, np.maximum(found, 0))
        # Many deviations are equal, so that roundings of their sum are, too.
        assert_statistics(sums, rectified, case.pivot, 40 * EPS)


def assert_statistics(sums: Array, values: Array, pivot: Array, rounding: float = 4 * EPS) -> None:
    deviations = double(values) - double(pivot)[:, None, None]
    expected = torch.stack([deviations.sum((0, 2, 3)), deviations.square().sum((0, 2, 3))])
    # A deviation is itself rounded, at the size of value and pivot.
    sizes = double(values).abs() + double(pivot).abs()[:, None, None]
    bound = torch.stack([sizes.sum((0, 2, 3)), (sizes * sizes).sum((0, 2, 3))])
    assert_within(sums, expected, rounding * bound)


def test_input_gradient(isa: str, bf16: bool) -> None:
    for case in cases(isa, bf16):
        shape = case.shape
        found = kernels(isa).input_gradient(
            isa=isa, z_gradient=case.z_gradient, weights=case.weights, padding=shape.padding, bf16=bf16
        )
        z, weights = case.factor(case.z_gradient), case.factor(case.weights)
        expected = F.conv_transpose2d(z, weights, padding=shape.padding)
        magnitudes = F.conv_transpose2d(z.abs(), weights.abs(), padding=shape.padding)
        assert_within(found, expected, rounding(methods(isa, case)[1], magnitudes))
        added = kernels(isa).input_gradient(
            isa=isa, z_gradient=case.z_gradient, weights=case.weights, padding=shape.padding, bf16=bf16,
            before=case.input,
        )  # fmt: skip
        np.testing.assert_array_equal(added, found + case.input)


def test_weight_gradient(isa: str, bf16: bool) -> None:
    for case in cases(isa, bf16):
        shape = case.shape
        found = kernels(isa).weight_gradient(
            isa=isa, input=case.input, z_gradient=case.z_gradient, kernel=shape.kernel,
            padding=shape.padding, bf16=bf16,
        )  # fmt: skip
        input, z = case.factor(case.input), case.factor(case.z_gradient)

        def correlated(input: Tensor, z: Tensor, padding: int = shape.padding) -> Tensor:
            return F.conv2d(input.transpose(0, 1), z.transpose(0, 1), padding=padding).transpose(0, 1)

        magnitudes = correlated(input.abs(), z.abs())
        assert_within(found, correlated(input, z), rounding(methods(isa, case)[2], magnitudes))


def test_bf16_rounds_to_nearest_and_ties_to_even(isa: str) -> None:
    """Weights in the middle between two bf16, of even and odd neighbours, times an input of one."""
    upper = np.arange(0x3F80, 0x3F80 + 64, dtype=np.uint32)
    weights = ((upper << 16) | 0x8000).view(np.float32).reshape(64, 1, 1, 1)
    ones, zeros = np.ones((1, 1, 1, 1), np.float32), np.zeros(64, np.float32)
    found, _ = kernels(isa).convolve(isa=isa, input=ones, weights=weights, bias=zeros, padding=0, bf16=True)
    expected = torch.from_numpy(weights).bfloat16().float().numpy()
    np.testing.assert_array_equal(found.ravel(), expected.ravel())


@pytest.mark.parametrize("relu", [False, True])
def test_convolution_of_a_single_image(isa: str, relu: bool) -> None:
    for shape in SHAPES:
        case = Case(shape, 1, bf16=False)
        found = kernels(isa).convolve_image(
            isa=isa, input=case.input, weights=case.weights, scale=case.scale, bias=case.bias,
            padding=shape.padding, relu=relu,
        )  # fmt: skip
        input, scaled = double(case.input), double(case.weights) * double(case.scale)[:, None, None, None]
        bias = double(case.bias)[:, None, None]
        expected = case.convolved(input, scaled) + bias
        magnitudes = case.convolved(input.abs(), scaled.abs()) + bias.abs()
        assert_within(found, expected.relu() if relu else expected, DIRECT * magnitudes)
