"""Arithmetic on maps, copies, dropout, and BatchNorm by itself, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.operation_kernels import assert_near, draw, groups, run, wide
from tests.support.single_kernels import EPS, ISAS, LANES, Array
from under20k.recipe.plan import MIX_FIRST, MIX_SECOND, dropout_keep, dropout_threshold

SHAPES = [(1, 1, 1), (3, 7, 5), (5, 3, 3), (2, 13, 13), (67, 1, 1), (2, 1, 4)]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cases(isa: str) -> list[tuple[tuple[int, int, int], int, np.random.Generator]]:
    sizes = groups(isa)
    return [
        (shape, sizes[number % len(sizes)], np.random.default_rng(number))
        for number, shape in enumerate(SHAPES)
    ]


def test_copy(isa: str) -> None:
    for shape, images, generator in cases(isa):
        x, before = draw(generator, images, *shape), draw(generator, images, *shape)
        np.testing.assert_array_equal(run(isa, lambda ops, x=x, s=shape: ops.copy(x, s)), x)
        np.testing.assert_array_equal(
            run(isa, lambda ops, x=x, s=shape, b=before: ops.copy(x, s, 0, b)), x + before
        )


def test_concatenation(isa: str) -> None:
    """Channels are copied among others, which stay as they are."""
    generator = np.random.default_rng(1)
    images = groups(isa)[1]
    x, before = draw(generator, images, 3, 7, 5), draw(generator, images, 8, 7, 5)
    found = run(isa, lambda ops: ops.copy(x, (8, 7, 5), 4, before))
    expected = before.copy()
    expected[:, 4:7] += x
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("one", ["neither", "first", "second"])
def test_addition_and_product(isa: str, one: str) -> None:
    for shape, images, generator in cases(isa):
        single = (shape[0], 1, 1)
        a = draw(generator, images, *(single if one == "first" else shape))
        b = draw(generator, images, *(single if one == "second" else shape))
        before = draw(generator, images, *shape)
        np.testing.assert_array_equal(run(isa, lambda ops, a=a, b=b, s=shape: ops.add(a, b, s)), a + b)
        np.testing.assert_array_equal(run(isa, lambda ops, a=a, b=b, s=shape: ops.multiply(a, b, s)), a * b)
        found = run(isa, lambda ops, a=a, b=b, s=shape, c=before: ops.multiply(a, b, s, c))
        assert_near(found, wide(a) * wide(b) + before, EPS * (np.abs(wide(a) * wide(b)) + np.abs(before)))


def test_gradients_of_what_was_broadcast(isa: str) -> None:
    for shape, images, generator in cases(isa):
        gradient, other = draw(generator, images, *shape), draw(generator, images, *shape)
        before = draw(generator, images, shape[0], 1, 1)
        for product in (wide(gradient), wide(gradient) * wide(other)):
            name = "sum_map" if product.size and np.array_equal(product, gradient) else "sum_products"
            arguments = (gradient,) if name == "sum_map" else (gradient, other)
            expected = product.sum((2, 3), keepdims=True)
            bound = 8 * EPS * np.abs(product).sum((2, 3), keepdims=True)
            found = run(isa, lambda ops, n=name, a=arguments: getattr(ops, n)(*a))
            assert_near(found, expected, bound)
            found = run(isa, lambda ops, n=name, a=arguments, b=before: getattr(ops, n)(*a, b))
            assert_near(found, expected + before, bound + EPS * np.abs(before))


def test_scale(isa: str) -> None:
    factor, offset = np.float32(-1.7), np.float32(0.3)
    for shape, images, generator in cases(isa):
        x, before = draw(generator, images, *shape), draw(generator, images, *shape)
        expected = wide(x) * float(factor) + float(offset)
        bound = EPS * (np.abs(x * factor) + offset)
        assert_near(run(isa, lambda ops, x=x: ops.scale(factor, offset, x)), expected, bound)
        found = run(isa, lambda ops, x=x, b=before: ops.scale(factor, offset, x, b))
        assert_near(found, expected + before, 2 * bound + 2 * EPS * np.abs(before))


def test_reshape(isa: str) -> None:
    generator = np.random.default_rng(2)
    images = groups(isa)[1]
    for shape, other in (((3, 7, 5), (105, 1, 1)), ((12, 1, 1), (2, 3, 2)), ((2, 6, 4), (3, 4, 4))):
        x, before = draw(generator, images, *shape), draw(generator, images, *other)
        expected = x.reshape(images, *other)
        np.testing.assert_array_equal(run(isa, lambda ops, x=x, s=other: ops.reshape(x, s)), expected)
        found = run(isa, lambda ops, x=x, s=other, b=before: ops.reshape(x, s, b))
        np.testing.assert_array_equal(found, expected + before)


def mix(value: NDArray[np.uint32]) -> NDArray[np.uint32]:
    mixed = (value ^ (value >> np.uint32(16))) * np.uint32(MIX_FIRST)
    return (mixed ^ (mixed >> np.uint32(15))) * np.uint32(MIX_SECOND)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_dropout(isa: str, channels: bool, probability: float) -> None:
    """The plan's masks, of elements and of whole channels."""
    seed, stream, position = 12345, 7, 77
    for shape, images, generator in cases(isa):
        x, before = draw(generator, images, *shape), draw(generator, images, *shape)
        masked = (shape[0], 1, 1) if channels else shape
        positions = np.arange(position, position + images)
        count = int(np.prod(masked))
        keep = dropout_keep(seed, stream, positions, count, probability).reshape(images, *masked)
        factor = np.float32(1 / (1 - probability) if probability < 1 else 0)
        arguments = (
            x, channels, dropout_threshold(probability), factor, mix(np.arange(count, dtype=np.uint32)),
            int(mix(np.array([seed ^ stream], np.uint32))[0]), position,
        )  # fmt: skip
        expected = np.where(keep, x * factor, np.float32(0))
        np.testing.assert_array_equal(run(isa, lambda ops, a=arguments: ops.dropout(*a)), expected)
        found = run(isa, lambda ops, a=arguments, b=before: ops.dropout(*a, b))
        assert_near(found, wide(expected) + before, 2 * EPS * (np.abs(expected) + np.abs(before)))


def channel(values: Array) -> NDArray[np.float64]:
    return wide(values)[:, None, None]


def test_statistics(isa: str) -> None:
    for shape, images, generator in cases(isa):
        x, pivot = draw(generator, images, *shape), draw(generator, shape[0])
        deviation = wide(x) - channel(pivot)
        found = run(isa, lambda ops, x=x, p=pivot: ops.statistics(x, p))
        expected = np.stack([deviation.sum((0, 2, 3)), (deviation**2).sum((0, 2, 3))])
        bound = np.stack([np.abs(deviation).sum((0, 2, 3)), expected[1]])
        assert_near(found, expected, 12 * EPS * bound)


@pytest.mark.parametrize("function", ["", "relu", "leaky_relu"])
def test_normalise(isa: str, function: str) -> None:
    for shape, images, generator in cases(isa):
        x = draw(generator, images, *shape)
        scale, shift = draw(generator, shape[0]), draw(generator, shape[0])
        expected = channel(scale) * wide(x) + channel(shift)
        bound = EPS * (np.abs(channel(scale) * wide(x)) + np.abs(channel(shift)))
        found = run(isa, lambda ops, x=x, a=scale, b=shift: ops.normalise(a, b, function, 0.1, x))
        if function:
            expected = np.maximum(expected, expected * (0.1 if function == "leaky_relu" else 0))
        assert_near(found, expected, bound)


def test_gradient_of_normalisation(isa: str) -> None:
    for shape, images, generator in cases(isa):
        x, gradient = draw(generator, images, *shape), draw(generator, images, *shape)
        inverse_sd, normalised_offset = draw(generator, shape[0]), draw(generator, shape[0])
        normalised = channel(inverse_sd) * wide(x) + channel(normalised_offset)
        sizes = np.abs(channel(inverse_sd) * wide(x)) + np.abs(channel(normalised_offset))
        products = wide(gradient) * normalised
        expected = np.stack([wide(gradient).sum((0, 2, 3)), products.sum((0, 2, 3))])
        bound = np.stack(
            [np.abs(wide(gradient)).sum((0, 2, 3)), (np.abs(wide(gradient)) * sizes).sum((0, 2, 3))]
        )
        sums = run(
            isa,
            lambda ops, a=inverse_sd, b=normalised_offset, x=x, g=gradient: ops.normalise_sums(a, b, x, g),
        )
        assert_near(sums, expected, 12 * EPS * bound)

        factors = tuple(draw(generator, shape[0]) for _ in range(3))
        a, b, c = (channel(factor) for factor in factors)
        expected = a * wide(gradient) + b * wide(x) + c
        bound = 3 * EPS * (np.abs(a * wide(gradient)) + np.abs(b * wide(x)) + np.abs(c))
        arguments = (*factors, x, gradient)
        found = run(isa, lambda ops, a=arguments: ops.normalise_gradient(*a))
        assert len(found) == LANES[isa]
        assert_near(found[:images], expected, bound)
        assert not found[images:].any(), "an invalid lane has a gradient"
        for place in ("x", "gradient"):
            placed = run(isa, lambda ops, a=arguments, p=place: ops.normalise_gradient(*a, None, p))
            np.testing.assert_array_equal(placed, found)
        before = draw(generator, images, *shape)
        found = run(isa, lambda ops, a=arguments, b=before: ops.normalise_gradient(*a, b))
        assert_near(found[:images], expected + before, bound + 2 * EPS * np.abs(before))
        assert not found[images:].any(), "an invalid lane has a gradient"
