"""The integers stand for the network, and the fixed-point arithmetic is TFLite's."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export.folded import folded
from under20k.deploy.export.int8 import fixed_point, logits, quantised, requantised
from under20k.deploy.model import Model, load

int32 = st.integers(-(2**31), 2**31 - 1)


def arrays(*values: int) -> list[np.ndarray]:
    return [np.array([value], np.int64) for value in values]


@given(int32, st.integers(0, 2**31 - 1), st.integers(1, 62))
def test_requantising_rounds_once_to_the_nearest_and_halves_up(number, multiplier, shift):
    exact = Fraction(number * multiplier, 2**shift)
    expected = (exact + Fraction(1, 2)).__floor__()
    assert requantised(*arrays(number, multiplier, shift))[0] == expected


@given(int32, st.integers(2**30, 2**31 - 1), st.integers(-31, 30))
def test_requantising_is_tflites_with_a_single_rounding(number, multiplier, tflite_shift):
    # tensorflow/lite/kernels/internal/common.cc: a quantized multiplier in Q31 and a shift to the left.
    total_shift = 31 - tflite_shift
    expected = (number * multiplier + (1 << (total_shift - 1))) >> total_shift
    assert requantised(*arrays(number, multiplier, total_shift))[0] == expected


@given(st.floats(2.0**-31, 2.0**29))
def test_a_factor_keeps_31_bits(factor):
    multiplier, shift = (int(each[0]) for each in fixed_point(np.array([factor])))
    assert 2**30 <= multiplier < 2**31
    assert 1 <= shift <= 62
    assert Fraction(multiplier, 2**shift) == pytest.approx(factor, rel=2**-31)


@pytest.mark.parametrize("factor", [0.0, 1e-30, 2.0**-40, 2.0**29 * (1 - 2**-40)])
def test_a_factor_at_the_edge_keeps_what_62_bits_hold(factor):
    multiplier, shift = (int(each[0]) for each in fixed_point(np.array([factor])))
    assert 0 <= multiplier < 2**31
    assert 1 <= shift <= 62
    assert abs(multiplier / 2**shift - factor) <= max(2.0**-63, factor * 2.0**-31)


@pytest.mark.parametrize("text", [*ARCHITECTURES, "4k1|1", "4vp,6n|3"])
def test_the_integer_network_is_close_to_the_float_one(text, mnist):
    model = model_of(text)
    network = quantised(folded(model.recipe.architecture.graph, model.weights), mnist.train.images[:100])
    images = mnist.validation.images[:200]
    expected = model.logits(images)
    found = logits(network, images) / 2**network.logit_bits
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


def test_every_number_fits_its_type(mnist):
    model = model_of(ARCHITECTURES[0])
    for name, value in model.weights.items():
        if name.endswith("conv.weight"):
            value[0] *= 1e-30  # a channel that hears nothing
    network = quantised(folded(model.recipe.architecture.graph, model.weights), mnist.train.images[:50])
    for layer in network.layers:
        assert np.abs(layer.weight).max() == 127
        assert np.abs(layer.bias).max() < 2**30
        assert (layer.multiplier >= 0).all()
        assert (layer.multiplier < 2**31).all()
        assert set(layer.shift) <= set(range(1, 63))
        products = 255 * np.abs(layer.weight).sum((1, 2, 3))
        assert (products + np.abs(layer.bias)).max() < 2**31
    black_and_white = np.stack([np.zeros((28, 28), np.uint8), np.full((28, 28), 255, np.uint8)])
    expected = model.logits(black_and_white)
    found = logits(network, black_and_white) / 2**network.logit_bits
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


def test_a_map_that_stays_dark_is_no_fault(mnist):
    model = model_of("4n,4n|3")
    dark = Model(model.name, model.recipe, {name: 0 * value for name, value in model.weights.items()})
    network = quantised(folded(dark.recipe.architecture.graph, dark.weights), mnist.train.images[:10])
    assert not logits(network, mnist.train.images[:10]).any()


def test_a_trained_network_loses_at_most_2_of_2000_images(mnist):
    trained = load("minimal-plus")
    network = quantised(folded(trained.recipe.architecture.graph, trained.weights), mnist.train.images[:500])
    images, labels = mnist.validation.images[:2000], mnist.validation.labels[:2000]
    before = (trained.logits(images).argmax(1) == labels).sum()
    assert before - (logits(network, images).argmax(1) == labels).sum() <= 2
