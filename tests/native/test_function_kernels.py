"""Functions of each element and their gradients, PReLU and softmax, against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.operation_kernels import assert_near, draw, groups, run, wide
from tests.support.single_kernels import EPS, ISAS, Array, assert_within, double

TINY = float(np.finfo(np.float32).tiny)
SHAPES = [(1, 1, 1), (3, 7, 5), (5, 3, 3), (2, 13, 13), (67, 1, 1)]


def normal_below(x: Tensor) -> Tensor:
    """The normal distribution's cumulative probability, not as 1 + erf, which cancels."""
    return torch.special.erfc(-x / 2**0.5) / 2


def density(x: Tensor) -> Tensor:
    return torch.exp(-(x**2) / 2) / (2 * torch.pi) ** 0.5


@dataclass(frozen=True)
class Function:
    """A function by PyTorch's definition, and the terms whose rounding errors its gradient has."""

    name: str
    value: Callable[[Tensor], Tensor]
    slope: float = 0.0
    terms: Callable[[Tensor], Tensor] | None = None
    from_output: bool = False
    ulps: Callable[[Tensor], Tensor] | None = None
    """How many roundings its value is off by."""
    derivative: Callable[[Tensor], Tensor] | None = None
    """Where PyTorch's cancels even in float64."""

    def gradient(self, x: Tensor, out_gradient: Tensor) -> Tensor:
        if self.derivative:
            return self.derivative(x) * out_gradient
        x = x.requires_grad_()
        return torch.autograd.grad(self.value(x), x, out_gradient)[0]

    def __str__(self) -> str:
        return f"{self.name} {self.slope:g}"


def twice_u(x: Tensor) -> Tensor:
    return 2 * (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)


FUNCTIONS = [
    Function("relu", torch.relu, from_output=True),
    Function("relu6", F.relu6, from_output=True),
    Function("leaky_relu", lambda x: F.leaky_relu(x, 0.1), 0.1, from_output=True),
    Function("leaky_relu", lambda x: F.leaky_relu(x, -1.5), -1.5),
    Function("leaky_relu", lambda x: F.leaky_relu(x, 0.0), 0.0, from_output=True),
    # From the output, eˣ is a sum that cancels where x is far below 0.
    Function("elu", lambda x: F.elu(x, 1.0), 1.0, from_output=True),
    Function("elu", lambda x: F.elu(x, 0.3), 0.3, from_output=True),
    Function("elu", lambda x: F.elu(x, -2.0), -2.0),
    Function(
        "gelu", lambda x: x * normal_below(x), ulps=lambda x: torch.full_like(x, 3),
        terms=lambda x: normal_below(x) + x.abs() * density(x),
    ),
    # The argument of its exponential grows with |x|, and with it the effect of its rounding.
    Function(
        "gelu_tanh", lambda x: x * torch.sigmoid(twice_u(x)), ulps=lambda x: 3 + 1.5 * twice_u(x).abs(),
        terms=lambda x: torch.sigmoid(twice_u(x)) * (1 + x.abs() * (1 + x**2) * torch.sigmoid(-twice_u(x))),
    ),
    Function("silu", F.silu, terms=lambda x: torch.sigmoid(x) * (1 + x.abs() * torch.sigmoid(-x))),
    Function("hardswish", F.hardswish, terms=lambda x: x.abs() / 3 + 0.5),
    Function("hardsigmoid", F.hardsigmoid),
    Function(
        "sigmoid", torch.sigmoid, from_output=True,
        derivative=lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
    ),
    Function(
        "tanh", torch.tanh, from_output=True,
        derivative=lambda x: 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x),
    ),
]  # fmt: skip


def inputs(generator: np.random.Generator, images: int, shape: tuple[int, ...]) -> Array:
    """Numbers of all sizes, among them those at which a function's formula changes."""
    sizes = 10.0 ** generator.uniform(-6, 2, (images, *shape))
    x = (sizes * generator.choice([-1, 1], sizes.shape)).astype(np.float32)
    special = np.array([0, -0.0, 3, -3, 6, 0.625, -0.625, 100, -100, 88.5, -88.5, 1e30, -1e30], np.float32)
    x.flat[:: 1 + x.size // 60] = generator.choice(special, len(x.flat[:: 1 + x.size // 60]))
    return x


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_value(isa: str, function: Function) -> None:
    generator = np.random.default_rng(5)
    for shape in SHAPES:
        for images in groups(isa):
            x = inputs(generator, images, shape)
            found = run(isa, lambda ops, x=x: ops.apply(function.name, function.slope, x))
            exact = double(x)
            expected = function.value(exact)
            ulps = function.ulps(exact).clamp(max=300) if function.ulps else 2
            assert_within(found, expected, ulps * EPS * expected.abs() + 2 * TINY)
            in_place = run(isa, lambda ops, x=x: ops.apply(function.name, function.slope, x, True))
            np.testing.assert_array_equal(in_place, found)


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_gradient(isa: str, function: Function) -> None:
    generator = np.random.default_rng(6)
    for shape in SHAPES:
        for images in groups(isa):
            x, gradient = inputs(generator, images, shape), draw(generator, images, *shape)
            x = np.clip(x, -100, 100)
            exact, expected = double(x), function.gradient(double(x), double(gradient))
            terms = (function.terms(exact) * double(gradient)).abs() if function.terms else expected.abs()
            ulps = function.ulps(exact).clamp(max=300) if function.ulps else 2
            bound = 2.5 * ulps * EPS * terms + 1e-36  # exponentials end at 88

            def call(ops, x=x, gradient=gradient, before=None, in_place=""):  # type: ignore[no-untyped-def]
                return ops.apply_gradient(function.name, function.slope, x, False, gradient, before, in_place)

            found = run(isa, call)
            assert_within(found, expected, bound)
            for place in ("x", "gradient"):
                placed = run(isa, lambda ops, call=call, place=place: call(ops, in_place=place))
                np.testing.assert_array_equal(placed, found)
            added = run(isa, lambda ops, call=call, x=gradient: call(ops, before=x))
            np.testing.assert_allclose(added, found + gradient, rtol=3 * EPS, atol=3 * EPS)


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_after_a_normalisation(isa: str, function: Function) -> None:
    """In one pass with it: bit by bit as in two, whose functions the tests above compare with float64."""
    generator = np.random.default_rng(10)
    name, slope = function.name, function.slope
    for shape in SHAPES:
        for images in groups(isa):
            x, gradient = draw(generator, images, *shape), draw(generator, images, *shape)
            scale, shift, inverse_sd, offset = (draw(generator, shape[0]) for _ in range(4))
            factors = (scale, shift)
            normalised = run(isa, lambda ops, f=factors, x=x: ops.normalise(*f, "", 0, x))
            found = run(isa, lambda ops, f=factors, x=x: ops.normalise(*f, name, slope, x))
            value = run(isa, lambda ops, y=normalised: ops.apply(name, slope, y))
            np.testing.assert_array_equal(found, value)
            arguments = (name, slope, scale, shift, inverse_sd, offset, x, gradient)
            sums, found = run(isa, lambda ops, a=arguments: ops.normalised_function_sums(*a))
            arguments = (name, slope, normalised, False, gradient)
            np.testing.assert_array_equal(found, run(isa, lambda ops, a=arguments: ops.apply_gradient(*a)))
            own, of_input = wide(found), inverse_sd[:, None, None] * wide(x) + offset[:, None, None]
            expected = np.stack([own.sum((0, 2, 3)), (own * of_input).sum((0, 2, 3))])
            sizes = np.abs(inverse_sd)[:, None, None] * np.abs(wide(x)) + np.abs(offset)[:, None, None]
            bound = np.stack([np.abs(own).sum((0, 2, 3)), (np.abs(own) * sizes).sum((0, 2, 3))])
            assert (np.abs(sums - expected) <= 12 * EPS * bound + TINY).all()


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f.from_output], ids=str)
def test_gradient_from_the_output(isa: str, function: Function) -> None:
    """By the float32 output, whose rounding a gradient close to 0 feels."""
    generator = np.random.default_rng(7)
    shape, images = (3, 7, 5), groups(isa)[1]
    x, gradient = np.clip(inputs(generator, images, shape), -100, 100), draw(generator, images, *shape)
    expected = function.gradient(double(x), double(gradient))
    y = function.value(double(x)).numpy().astype(np.float32)
    found = run(isa, lambda ops: ops.apply_gradient(function.name, function.slope, y, True, gradient))
    rounding = EPS * double(gradient).abs() * (2 if function.name in ("elu", "sigmoid", "tanh") else 0)
    assert_within(found, expected, 3 * EPS * expected.abs() + rounding + TINY)


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_a_nan_stays_one(isa: str, function: Function) -> None:
    x = np.full((1, 1, 1, 3), np.nan, np.float32)
    assert np.isnan(run(isa, lambda ops: ops.apply(function.name, function.slope, x))).all()


@pytest.mark.parametrize("from_output", [True, False])
def test_reciprocal_root(isa: str, from_output: bool) -> None:
    """Of numbers above 0, of every size that a variance may have."""
    generator = np.random.default_rng(11)
    shape, images = (3, 7, 5), groups(isa)[1]
    x = (10.0 ** generator.uniform(-12, 12, (images, *shape))).astype(np.float32)
    gradient = draw(generator, images, *shape)
    exact = double(x)
    assert_within(run(isa, lambda ops: ops.apply("rsqrt", 0, x)), exact**-0.5, 1.5 * EPS * exact**-0.5)
    given = (exact**-0.5).numpy().astype(np.float32) if from_output else x
    found = run(isa, lambda ops: ops.apply_gradient("rsqrt", 0, given, from_output, gradient))
    expected = -0.5 * exact**-1.5 * double(gradient)
    assert_within(found, expected, 6 * EPS * expected.abs() + TINY)


@pytest.mark.parametrize("one", [True, False])
def test_prelu(isa: str, one: bool) -> None:
    generator = np.random.default_rng(8)
    for shape in SHAPES:
        for images in groups(isa):
            x, gradient = draw(generator, images, *shape), draw(generator, images, *shape)
            weights = draw(generator, 1 if one else shape[0])
            exact, weight = double(x).requires_grad_(), double(weights).requires_grad_()
            y = torch.where(exact > 0, exact, exact * weight[:, None, None])
            expected, of_weights = torch.autograd.grad(y, (exact, weight), double(gradient))
            found = run(isa, lambda ops, x=x, weights=weights: ops.prelu(weights, x))
            assert_within(found, y.detach(), EPS * y.detach().abs())
            found, of_weights_found = run(
                isa, lambda ops, w=weights, x=x, g=gradient: ops.prelu_gradient(w, x, g)
            )
            assert_within(found, expected, EPS * expected.abs())
            sizes = (double(x).clamp(max=0) * double(gradient)).abs().sum((0, 2, 3))
            bound = 12 * EPS * (sizes.sum()[None] if one else sizes)
            assert_within(of_weights_found, of_weights, bound)
            found, added = run(isa, lambda ops, w=weights, x=x, g=gradient: ops.prelu_gradient(w, x, g, x, w))
            before = double(x)
            assert_within(found, expected + before, 2 * EPS * (expected.abs() + before.abs()))
            assert_within(added, of_weights + double(weights), bound + 2 * EPS * double(weights).abs())


def test_softmax(isa: str) -> None:
    generator = np.random.default_rng(9)
    for images in groups(isa):
        x = 20 * draw(generator, images, 10, 1, 1)
        exact = double(x)
        y = torch.softmax(exact, 1)
        found = run(isa, lambda ops, x=x: ops.softmax(x))
        below = exact.amax(1, keepdim=True) - exact  # the differences are rounded
        assert_within(found, y, (4 + below) * EPS * y + TINY)
        gradient, before = draw(generator, images, 10, 1, 1), draw(generator, images, 10, 1, 1)
        values = wide(found)
        expected = values * (gradient - (values * gradient).sum(1, keepdims=True))
        bound = 8 * EPS * values * (np.abs(gradient) + (values * np.abs(gradient)).sum(1, keepdims=True))
        got = run(isa, lambda ops, y=found, g=gradient: ops.softmax_gradient(y, g))
        assert_near(got, expected, bound + TINY)
        got = run(isa, lambda ops, y=found, g=gradient, b=before: ops.softmax_gradient(y, g, b))
        assert_near(got, expected + before, bound + TINY + EPS * np.abs(before))
