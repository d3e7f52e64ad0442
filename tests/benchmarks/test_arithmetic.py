"""The count of true products against PyTorch, which convolves ones with ones, and against a count by hand."""

import math

import torch
import torch.nn.functional as F
from hypothesis import given, settings

from benchmarks.arithmetic import convolutions, epoch_flop
from tests.support.strategies import architectures
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL


@settings(max_examples=50, deadline=None, derandomize=True)
@given(architecture=architectures())
def test_products_of_drawn_convolutions(architecture: Architecture) -> None:
    layers = [layer for layer in architecture.layers() if layer.kind.endswith("Conv2d")]
    for convolution, layer in zip(convolutions(architecture), layers, strict=True):
        assert convolution.name == layer.name
        assert (convolution.outputs, *[convolution.output_side] * 2) == layer.shape
        # Where input and weights are one, outputs are numbers of products.
        ones = torch.ones(1, convolution.inputs, convolution.side, convolution.side)
        inputs, window = convolution.inputs // convolution.groups, [convolution.kernel] * 2
        weights = torch.ones(convolution.outputs, inputs, *window)
        options = {"stride": convolution.stride, "padding": convolution.padding, "groups": convolution.groups}
        products = F.conv2d(ones, weights, **options).sum()
        assert convolution.flop == 2 * products


def test_an_epoch_of_minimal_by_hand() -> None:
    def products(inputs: int, outputs: int, pairs: int) -> int:
        """Of a convolution whose rows of output and kernel meet so often on the map."""
        return inputs * outputs * pairs**2

    # With padding the two outer rows miss one tap each: 3 · 28 − 2 meetings; without it none is missed.
    forward = [
        products(1, 8, 82),
        products(8, 12, 82),
        products(12, 14, 40),
        products(14, 16, 40),
        products(16, 20, 15),
        products(20, 24, 9),
        products(24, 10, 3),
    ]
    expected = 50_000 * 2 * (2 * forward[0] + 3 * sum(forward[1:]))
    assert epoch_flop(MINIMAL.architecture) == expected
    assert math.isclose(expected, 426e9, rel_tol=0.01)
    assert epoch_flop(MINIMAL.architecture, 100) * 500 == expected
