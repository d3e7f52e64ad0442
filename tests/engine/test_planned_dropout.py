"""The torch engine's masks against the plan's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from under20k.engine.torch_transforms import PlannedDropout, mix
from under20k.recipe.plan import dropout_keep

WORDS = st.integers(0, 2**32 - 1)


@given(st.lists(WORDS, min_size=1, max_size=20))
def test_hash_against_plain_python(words):
    expected = []
    for word in words:
        mixed = (word ^ (word >> 16)) * 0x7FEB352D % 2**32
        expected.append((mixed ^ (mixed >> 15)) * 0x846CA68B % 2**32)
    values = torch.from_numpy(np.array(words, np.uint32).view(np.int32))
    assert mix(values).numpy().view(np.uint32).tolist() == expected


@settings(deadline=None, max_examples=100)
@given(
    seed=WORDS,
    layer=st.integers(0, 31),
    positions=st.lists(st.integers(0, 60_000), min_size=1, max_size=4),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7)),
    probability=st.floats(1e-9, 0.999),
    channels_last=st.booleans(),
)
def test_masks_and_scale(seed, layer, positions, shape, probability, channels_last):
    dropout = PlannedDropout(layer, probability).train()
    dropout.set_batch(seed, torch.tensor(positions, dtype=torch.int32))
    x = torch.randn(len(positions), *shape, dtype=torch.float64).add_(10)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    out = dropout(x)
    keep = dropout_keep(seed, layer, np.array(positions), int(np.prod(shape)), probability)
    keep = keep.reshape(len(positions), *shape)
    assert np.array_equal(out.numpy() != 0, keep)
    assert out.numpy() == pytest.approx(np.where(keep, x / (1 - probability), 0), rel=1e-14)


def test_gradient_passes_where_the_element_did():
    dropout = PlannedDropout(2, 0.5).train()
    dropout.set_batch(123, torch.arange(3, dtype=torch.int32))
    x = torch.ones(3, 2, 4, 4, requires_grad=True)
    out = dropout(x)
    out.sum().backward()
    assert set(out.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(x.grad, out.detach())


def test_feature_maps_of_another_size_get_their_own_mask():
    dropout = PlannedDropout(0, 0.5).train()
    for side in (4, 6, 4):
        dropout.set_batch(9, torch.arange(2, dtype=torch.int32))
        keep = dropout_keep(9, 0, np.arange(2), side * side, 0.5)
        assert np.array_equal(dropout(torch.ones(2, 1, side, side)).flatten(1).numpy() != 0, keep)


def test_dropout_does_nothing_in_evaluation_mode_and_saves_nothing():
    dropout = PlannedDropout(0, 0.5).eval()
    x = torch.randn(2, 3, 4, 4)
    assert dropout(x) is x
    dropout.train().set_batch(1, torch.arange(2, dtype=torch.int32))
    dropout(x)
    assert dropout.state_dict() == {}


def test_dropout_of_everything_leaves_zeros_and_no_gradient():
    dropout = PlannedDropout(0, 1.0)
    dropout.set_batch(1, torch.arange(2, dtype=torch.int32))
    x = torch.ones(2, 3, requires_grad=True)
    out = dropout(x)
    out.sum().backward()
    assert not out.any()
    assert x.grad is not None
    assert not x.grad.any()
