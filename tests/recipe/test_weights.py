"""Initial weights against PyTorch's own, and weights that do not fit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import architectures
from under20k.engine.module import build
from under20k.errors import UserError
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import check_weights, initial_weights

LARGE = Architecture.parse("256,256,64k1,64k7/2g4|3")


def distance(first: Any, second: Any) -> float:
    """Largest difference between two samples' distribution functions, in its limits of 0.1%."""
    first, second = np.sort(first.ravel()), np.sort(second.ravel())
    both = np.concatenate([first, second])
    shares = [np.searchsorted(sample, both, side="right") / len(sample) for sample in (first, second)]
    limit = 1.95 * np.sqrt(1 / len(first) + 1 / len(second))
    return float(np.abs(shares[0] - shares[1]).max() / limit)


@pytest.mark.parametrize(
    ("block", "inputs", "kernel"), [("0", 1, 3), ("1", 256, 3), ("2", 256, 1), ("3", 16, 7)]
)
def test_distribution_of_convolutions_against_torch(block, inputs, kernel):
    """``inputs`` are the channels of a group."""
    ours = initial_weights(LARGE, 0)
    weight, bias = (ours[f"blocks.{block}.conv.{part}"] for part in ("weight", "bias"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [torch.nn.Conv2d(inputs, weight.shape[0], kernel) for _ in range(8)]
    theirs = [
        np.stack([getattr(conv, part).detach().numpy() for conv in drawn]) for part in ("weight", "bias")
    ]
    bound = 1 / np.sqrt(inputs * kernel**2)
    for mine, other in zip((weight, bias), theirs, strict=True):
        assert np.abs(mine).max() <= bound * (1 + 1e-6)
        assert np.abs(other).max() <= bound * (1 + 1e-6)
        assert np.abs(mine).max() > bound * 0.97
        assert distance(mine, other) < 1


def test_a_wrong_bound_would_be_detected():
    weight = initial_weights(LARGE, 0)["blocks.1.conv.weight"]
    assert distance(weight, weight * 1.02) > 1
    assert distance(weight, weight + 0.02 * weight.max()) > 1


@settings(deadline=None, max_examples=30)
@given(architectures(), st.integers(0, 2**32 - 1))
def test_initial_weights_fit_torch_and_its_batch_norm(architecture, seed):
    weights = initial_weights(architecture, seed)
    check_weights(architecture, weights)
    network = build(architecture)
    tensors = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    assert weights.keys() == tensors.keys()
    for name, value in weights.items():
        assert value.dtype == np.float32
        assert value.shape == tuple(tensors[name].shape)
        if "batch_norm" in name:
            assert np.array_equal(value, tensors[name])


def test_weights_depend_only_on_the_seed():
    first, again, other = (initial_weights(MINIMAL.architecture, seed) for seed in (1, 1, 2))
    convolutions = [name for name in first if ".conv." in name]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in convolutions)


def test_layers_are_independent():
    weights = initial_weights(Architecture.parse("64,64,64|3"), 0)
    flat = [weights[f"blocks.{index}.conv.weight"].ravel() for index in (1, 2)]
    assert abs(np.corrcoef(flat)[0, 1]) < 5 / np.sqrt(flat[0].size)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_seeds_allowed(seed):
    assert check_seed(seed) == seed


@pytest.mark.parametrize("seed", [-1, 2**32, True, 0.0, "1", None, np.int64(3)])
def test_seeds_refused(seed):
    with pytest.raises(UserError, match=r"seed: .*; expected a whole number from 0 to 4294967295"):
        initial_weights(MINIMAL.architecture, seed)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("blocks.1.conv.bias", None, "blocks.1.conv.bias is missing"),
        ("blocks.9.conv.bias", np.zeros(3, np.float32), "blocks.9.conv.bias is unknown"),
        ("head.conv.bias", np.zeros(11, np.float32), r"head.conv.bias is float32 (11,), not float32 (10,)"),
        ("head.conv.bias", np.zeros(10), "head.conv.bias is float64 (10,), not float32 (10,)"),
        (
            "head.conv.bias",
            np.full(10, np.nan, np.float32),
            "head.conv.bias contains values that are not finite",
        ),
        (
            "head.conv.bias",
            np.full(10, np.inf, np.float32),
            "head.conv.bias contains values that are not finite",
        ),
    ],
)
def test_weights_that_do_not_fit(name, value, words):
    weights = initial_weights(MINIMAL.architecture, 0)
    weights[name] = value
    with pytest.raises(UserError) as refusal:
        check_weights(
            MINIMAL.architecture, {key: array for key, array in weights.items() if array is not None}
        )
    assert words in str(refusal.value)
    assert str(MINIMAL.architecture) in str(refusal.value)
