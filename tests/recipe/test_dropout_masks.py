"""The masks of dropout: the hash in plain Python, and what makes a hash as good as chance.

Where the mixed key of seed and layer is itself a small number, which one in some 2¹⁶ is (that of seed 0 in
layer 0 is 0), positions and elements of the same number meet and a mask is symmetric. That is left as it is.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.recipe.plan import dropout_keep, dropout_threshold


def mixed(value: int) -> int:
    value = (value ^ (value >> 16)) * 0x7FEB352D % 2**32
    return (value ^ (value >> 15)) * 0x846CA68B % 2**32


def kept(seed: int, layer: int, position: int, element: int, probability: float) -> bool:
    """One element of a mask, slowly."""
    image = mixed(mixed(seed ^ layer) ^ position)
    return mixed(image ^ mixed(element)) / 2**32 >= round(probability * 2**32) / 2**32


WORDS = st.integers(0, 2**32 - 1)


@given(
    WORDS, st.integers(0, 31), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5), st.floats(0, 1)
)
def test_against_plain_python(seed, layer, positions, probability):
    probability = min(probability, 1 - 2**-30)
    masks = dropout_keep(seed, layer, np.array(positions, np.int32), 50, probability)
    expected = [[kept(seed, layer, p, element, probability) for element in range(50)] for p in positions]
    assert masks.tolist() == expected


@pytest.mark.parametrize(
    ("probability", "threshold"), [(0, 0), (0.5, 2**31), (0.05, 214_748_365), (1 - 2**-53, 2**32 - 1)]
)
def test_threshold(probability, threshold):
    assert dropout_threshold(probability) == threshold


def masks(seed: int = 7, layer: int = 0, first: int = 0, count: int = 500, p: float = 0.05) -> Any:
    return dropout_keep(seed, layer, np.arange(first, first + count), 784, p)


@pytest.mark.parametrize("probability", [0.01, 0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", [1, 7, 2**31, 2**32 - 1])
def test_rate_and_spread(seed, probability):
    """Overall, per image and per element, counts have the mean and variance of a binomial."""
    dropped = ~masks(seed, p=probability)
    variance = probability * (1 - probability)
    assert abs(dropped.mean() - probability) < 5 * np.sqrt(variance / dropped.size)
    for axis in (0, 1):
        counts, n = dropped.sum(axis=axis), dropped.shape[axis]
        assert abs(counts.var() / (n * variance) - 1) < 5 * np.sqrt(2 / len(counts)) + 1 / n
        assert np.abs(counts - n * probability).max() < 6 * np.sqrt(n * variance) + 3


def agreement(first: Any, second: Any) -> float:
    """Correlation in units of its standard deviation under independence."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1] * np.sqrt(first.size))


@pytest.mark.parametrize("seed", [1, 7, 123_456_789])
@pytest.mark.parametrize("probability", [0.05, 0.5])
def test_layers_positions_elements_and_seeds_are_independent(seed, probability):
    base = masks(seed, p=probability)
    others = {
        **{f"layer {layer}": masks(seed, layer, p=probability) for layer in (1, 2, 3, 4, 8)},
        **{f"seed ^ {bit}": masks(seed ^ bit, p=probability) for bit in (16, 2**16, 2**31)},
        **{f"position + {k}": masks(seed, first=k, p=probability) for k in (1, 2, 128, 50_000)},
    }
    scores = {name: agreement(base, other) for name, other in others.items()}
    for step in (1, 2, 14, 28, 196):
        scores[f"element + {step}"] = agreement(base[:, :-step], base[:, step:])
    assert {name: score for name, score in scores.items() if abs(score) > 5} == {}


def test_a_mask_does_not_depend_on_the_batch_it_is_in():
    together = dropout_keep(5, 1, np.array([3, 900, 4]), 100, 0.5)
    assert np.array_equal(together[1:2], dropout_keep(5, 1, np.array([900]), 100, 0.5))
    assert np.array_equal(together[:, :40], dropout_keep(5, 1, np.array([3, 900, 4]), 40, 0.5))


def test_no_dropout_keeps_everything():
    assert masks(p=0).all()
