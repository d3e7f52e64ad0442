"""BatchNorm's factors, which are computed once a step for all groups, against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.single_kernels import EPS, Array, assert_within, double, kernels

CHANNELS, GROUPS, SIDE = 5, 3, 6


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def drawn(generator: np.random.Generator, distance: float = 0.0) -> tuple[Array, Tensor]:
    """Return [scale, shift, running mean, running variance, bias] and z, (groups, channels, y, x)."""
    parameters = generator.standard_normal((5, CHANNELS))
    parameters[3] = generator.uniform(0.5, 2, CHANNELS)
    z = generator.standard_normal((GROUPS, CHANNELS, SIDE, SIDE)) * 3 + distance
    return parameters.astype(np.float32), torch.from_numpy(z)


def sums_of(first: Tensor, second: Tensor) -> Array:
    """The two sums of each group, (groups, 2, channels)."""
    return torch.stack([first.sum((2, 3)), second.sum((2, 3))], 1).float().numpy()


def count() -> float:
    return float(GROUPS * SIDE * SIDE)


def test_a_step_s_factors_and_running_statistics(generator: np.random.Generator) -> None:
    parameters, z = drawn(generator)
    gamma, beta, mean, variance, bias = (double(row) for row in parameters)
    pivot = mean - bias
    deviation = z - pivot[:, None, None]
    found_pivot, moved, factors, after, _ = kernels("baseline").normalised_step(
        parameters=parameters, sums=sums_of(deviation, deviation.square()), count=count()
    )
    assert_within(found_pivot, pivot, EPS * (mean.abs() + bias.abs()))
    assert not moved
    batch_mean, batch_variance = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
    inverse_sd = (batch_variance + 1e-5).rsqrt()
    expected = torch.stack(
        [gamma * inverse_sd, beta - gamma * inverse_sd * batch_mean, inverse_sd, -batch_mean * inverse_sd]
    )
    assert_within(factors, expected, 20 * EPS * expected.abs().max())
    norm = torch.nn.BatchNorm2d(CHANNELS).double().train()
    norm.running_mean, norm.running_var = mean.clone(), variance.clone()
    norm(z + bias[:, None, None])
    assert_within(after[2], norm.running_mean, 20 * EPS * batch_mean.abs().max().clamp(min=1))
    assert_within(after[3], norm.running_var, 20 * EPS * batch_variance.max())
    np.testing.assert_array_equal(after[[0, 1, 4]], parameters[[0, 1, 4]])


def test_a_pivot_far_from_the_mean_moves_to_it(generator: np.random.Generator) -> None:
    parameters, z = drawn(generator, distance=500)
    deviation = z - double(parameters[2] - parameters[4])[:, None, None]
    *_, moved, _, _, pivot = kernels("baseline").normalised_step(
        parameters=parameters, sums=sums_of(deviation, deviation.square()), count=count()
    )
    assert moved
    assert_within(pivot, z.mean((0, 2, 3)), 4 * EPS * 500)


def test_the_backward_factors_are_those_of_autograd(generator: np.random.Generator) -> None:
    parameters, z = drawn(generator)
    gamma = double(parameters[0])[:, None, None]
    mean, variance = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
    inverse_sd = (variance + 1e-5).rsqrt()
    forward = torch.stack([gamma.flatten() * inverse_sd, 0 * mean, inverse_sd, -mean * inverse_sd])
    gradient = torch.from_numpy(generator.standard_normal(z.shape))
    normalised = (z - mean[:, None, None]) * inverse_sd[:, None, None]
    found = kernels("baseline").backward_factors(
        factors=forward.float().numpy(), sums=sums_of(gradient, gradient * normalised), count=count()
    )
    leaf = z.clone().requires_grad_()
    out = torch.nn.functional.batch_norm(leaf, None, None, gamma.flatten(), training=True)
    (expected,) = torch.autograd.grad(out, leaf, gradient)
    a, b, c = (double(row)[:, None, None] for row in found)
    assert_within((a * gradient + b * z + c).numpy(), expected, 20 * EPS * expected.abs().max())


def test_running_statistics_fold_into_the_convolution(generator: np.random.Generator) -> None:
    parameters, z = drawn(generator)
    gamma, beta, mean, variance, bias = (double(row) for row in parameters)
    factors, constant = kernels("baseline").folded(parameters=parameters)
    norm = torch.nn.BatchNorm2d(CHANNELS).double().eval()
    norm.running_mean, norm.running_var = mean, variance
    norm.load_state_dict(norm.state_dict() | {"weight": gamma, "bias": beta})
    expected = norm(z + bias[:, None, None])
    found = double(factors)[:, None, None] * z + double(constant)[:, None, None]
    assert_within(found.numpy(), expected, 8 * EPS * expected.abs().max())
