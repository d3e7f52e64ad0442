"""Pooling at the end, loss, soft targets and optimiser, each kernel alone, against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.single_kernels import EPS, ISAS, LANES, Array, assert_within, double, kernels


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    kernels(request.param)
    return str(request.param)


def draw(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes).astype(np.float32)


@pytest.mark.parametrize(("channels", "rows", "columns"), [(1, 1, 1), (10, 3, 3), (24, 5, 7), (3, 28, 28)])
def test_global_average(isa: str, channels: int, rows: int, columns: int) -> None:
    images = LANES[isa] - 1
    values, gradient = draw(images, channels, rows, columns), draw(images, channels, 1, 1)
    found = kernels(isa).global_average(isa=isa, values=values)
    assert_within(found, double(values).mean((2, 3), True), 4 * EPS * double(values).abs().mean((2, 3), True))
    back = kernels(isa).global_average_gradient(isa=isa, gradient=gradient, height=rows, width=columns)
    expected = (double(gradient) / (rows * columns)).expand(images, channels, rows, columns)
    assert_within(back, expected, 2 * EPS * expected.abs())


def test_logits(isa: str) -> None:
    for images in (1, LANES[isa]):
        z = draw(images, 10, 3, 5)
        found = kernels(isa).logits(isa=isa, z=z)
        assert_within(found, double(z).mean((2, 3)), 4 * EPS * double(z).abs().mean((2, 3)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_targets(isa: str, temperature: float) -> None:
    logits = draw(LANES[isa], 10) * 5
    found = kernels(isa).soft_targets(isa=isa, logits=logits, temperature=temperature, weight=0.25)
    assert_within(found, 0.25 * F.softmax(double(logits) / temperature, 1), 1e-14)


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("fraction", [None, 0.0, 0.7, 1.0])
def test_loss(isa: str, side: int, smoothing: float, fraction: float | None) -> None:
    """Loss, images right, and the gradient in z and in the bias; lanes out of use have none."""
    lanes, temperature, weight = LANES[isa], 3.0, 1 / 50
    for images in (lanes, lanes - 1, 1):
        z = draw(images, 10, side, side, seed=images) * 4
        labels = np.random.default_rng(1).integers(0, 10, images, dtype=np.uint8)
        targets = F.softmax(double(draw(images, 10, seed=2)), 1)
        loss, correct, gradient, bias_gradient = kernels(isa).loss(
            isa=isa, z=z, labels=labels, targets=None if fraction is None else targets.numpy(),
            temperature=temperature, fraction=fraction or 0.0, smoothing=smoothing, image_weight=weight,
        )  # fmt: skip
        leaf = double(z).requires_grad_()
        logits = leaf.mean((2, 3))
        expected = F.cross_entropy(
            logits, torch.from_numpy(labels).long(), label_smoothing=smoothing, reduction="sum"
        )
        if fraction is not None:
            own = F.log_softmax(logits / temperature, 1)
            divergence = F.kl_div(own, targets, reduction="sum")
            expected = (1 - fraction) * expected + fraction * temperature**2 * divergence
        (slope,) = torch.autograd.grad(expected, leaf)
        assert loss == pytest.approx(expected.item(), rel=1e-6)
        assert correct == int((logits.argmax(1).numpy() == labels).sum())
        # Logits are float32, and a softmax's slope is at most 1 times their rounding.
        bound = weight * (8 * EPS * logits.abs().max().item()) / side**2 * max(temperature, 1)
        assert_within(gradient[:images], weight * slope, bound)
        assert not gradient[images:].any()
        assert_within(bias_gradient, weight * slope.sum((0, 2, 3)), bound * images * side**2)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("count", [1, 7, 16, 1000])
def test_update(isa: str, momentum: float, nesterov: bool, weight_decay: float, count: int) -> None:
    """Two steps of torch.optim.SGD on gradients summed over groups."""
    weights = draw(count, seed=1)
    velocity = np.zeros(count, np.float32) if momentum else None
    parameter = double(weights).requires_grad_()
    optimiser = torch.optim.SGD(
        [parameter], lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    for step in range(2):
        gradients = draw(3, count + 5, seed=step)  # rows are longer than the range of parameters
        weights, moved = kernels(isa).update(
            isa=isa, gradients=gradients, weights=weights, momentum=velocity, learning_rate=0.1,
            momentum_factor=momentum, weight_decay=weight_decay, nesterov=nesterov,
        )  # fmt: skip
        velocity = moved if momentum else None
        parameter.grad = double(gradients[:, :count]).sum(0)
        optimiser.step()
        size: Tensor = parameter.detach().abs() + double(np.abs(gradients[:, :count])).sum(0)
        assert_within(weights, parameter, 6 * EPS * size)
        if momentum:
            assert_within(moved, optimiser.state[parameter]["momentum_buffer"], 8 * EPS * size)


def test_average(isa: str) -> None:
    for count in (1, 7, 1000):
        weights, average = draw(count, seed=1), draw(count, seed=2)
        found = kernels(isa).average(isa=isa, decay=0.9, weights=weights, average=average)
        decay = float(np.float32(0.9))
        expected = decay * double(average) + (1 - decay) * double(weights)
        assert_within(found, expected, 3 * EPS * (double(average).abs() + double(weights).abs()))


@pytest.mark.parametrize(("channels", "rows", "columns"), [(1, 2, 2), (5, 3, 7), (17, 28, 28), (70, 5, 4)])
def test_pooling_of_a_single_image(isa: str, channels: int, rows: int, columns: int) -> None:
    image = draw(1, channels, rows, columns)
    pooled, mean = kernels(isa).pool_and_average_image(isa=isa, input=image)
    np.testing.assert_array_equal(pooled, F.max_pool2d(torch.from_numpy(image), 2).numpy())
    assert_within(mean, double(image).mean((2, 3), True), 8 * EPS * double(image).abs().mean((2, 3), True))
