"""The module against the same computation written out with functions."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import architectures
from under20k.engine.module import Network, build
from under20k.recipe.architecture import Architecture
from under20k.recipe.weights import initial_weights


def random_weights(architecture: Architecture, seed: int) -> dict[str, torch.Tensor]:
    """Initial weights, with BatchNorm's as if after some training."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(architecture, seed)
    for name, value in weights.items():
        if "batch_norm" in name:
            weights[name] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
    return {name: torch.from_numpy(value) for name, value in weights.items()}


def written_out(architecture: Architecture, weights: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
    """Logits in float64."""
    w = {name: value.double() for name, value in weights.items()}
    inputs = []
    for index, block in enumerate(architecture.blocks):
        conv, norm = f"blocks.{index}.conv", f"blocks.{index}.batch_norm"
        if not block.shared:
            kernel = w[f"{conv}.weight"]
        inputs.append(x)
        x = F.conv2d(x, kernel, w.get(f"{conv}.bias"), block.stride, block.padding, groups=block.groups)
        if block.batch_norm:
            mean, variance, scale, shift = (
                w[f"{norm}.{part}"][:, None, None]
                for part in ("running_mean", "running_var", "weight", "bias")
            )
            x = (x - mean) / (variance + 1e-5).sqrt() * scale + shift
        if block.residual:
            x = inputs[index + 1 - block.residual] + x
        x = x.clamp(min=0)
        if block.pool:
            x = torch.stack(
                [
                    x[..., row::2, column::2][..., : x.shape[2] // 2, : x.shape[3] // 2]
                    for row in (0, 1)
                    for column in (0, 1)
                ]
            ).amax(0)
    if architecture.head.pool_first:
        x = x.mean(dim=(2, 3), keepdim=True)
    x = F.conv2d(x, w["head.conv.weight"], w.get("head.conv.bias"), padding=architecture.head.padding)
    return x.mean(dim=(2, 3))


@settings(deadline=None, max_examples=60)
@given(architectures(), st.integers(0, 1000))
def test_forward_in_evaluation_mode(architecture, seed):
    weights = random_weights(architecture, seed)
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((3, 1, 28, 28)))
    expected = written_out(architecture, weights, x)
    network = build(architecture, weights).double()
    assert not network.training
    with torch.no_grad():
        assert torch.allclose(network.logits(x), expected, rtol=1e-9, atol=1e-12)
        assert torch.allclose(network(x).exp(), F.softmax(expected, dim=1), rtol=1e-9, atol=1e-12)


def test_shared_weights_are_one_tensor_and_stay_so_in_a_copy():
    network = Network(Architecture.parse("4,4,4s,4vsu,5|3"))
    for net in (network, copy.deepcopy(network)):
        kernels = [name for name in net.state_dict() if name.endswith("conv.weight")]
        assert kernels == [f"{name}.conv.weight" for name in ("blocks.0", "blocks.1", "blocks.4", "head")]
        first, second, third = net.blocks[1].conv, net.blocks[2].conv, net.blocks[3].conv
        assert second.source == third.source == (first,)
        assert second.bias is not None
        assert third.bias is None
    kernels_and_biases = 36 + 4 + 144 + 4 + 4 + 180 + 5 + 450 + 10
    assert sum(p.numel() for p in network.parameters()) == kernels_and_biases + 2 * (4 * 4 + 5)


def test_the_factory_makes_the_dropout_of_blocks_that_have_it():
    asked: list[tuple[int, float]] = []

    def factory(index: int, probability: float) -> torch.nn.Module:
        asked.append((index, probability))
        return torch.nn.Identity()

    Network(Architecture.parse("4,4d0.1,4,4pd0.25|3"), factory)
    assert asked == [(1, 0.1), (3, 0.25)]


def test_dropout_is_pytorchs_own_and_per_element_by_default():
    network = Network(Architecture.parse("4pd0.5|3"))
    (dropout,) = [module for module in network.modules() if type(module) is torch.nn.Dropout]
    assert dropout.p == 0.5


def test_build_refuses_weights_of_another_architecture():
    weights = random_weights(Architecture.parse("4,4|3"), 0)
    with pytest.raises(RuntimeError, match=r"blocks\.1\.conv\.weight"):
        build(Architecture.parse("4,5|3"), weights)
