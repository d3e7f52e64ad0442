import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from under20k.data import permutation, split_indices


def test_the_split_equals_torchs():
    generator = torch.Generator().manual_seed(42)
    train, validation = torch.utils.data.random_split(range(60_000), [50_000, 10_000], generator)
    ours = split_indices()
    assert ours[0].tolist() == list(train.indices)
    assert ours[1].tolist() == list(validation.indices)


@given(count=st.integers(0, 3000), seed=st.integers(0, 2**32 - 1))
def test_the_permutation_equals_torchs(count, seed):
    generator = torch.Generator().manual_seed(seed)
    assert permutation(count, seed).tolist() == torch.randperm(count, generator=generator).tolist()


def test_global_random_state_is_unchanged():
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    split_indices()
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("part", [0, 1])
def test_indices_are_int64_arrays(part):
    assert split_indices()[part].dtype == np.int64
