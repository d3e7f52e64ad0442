"""deploy/believe.py: what is believed to be a digit."""

import numpy as np
import pytest

from under20k.data import Mnist
from under20k.deploy.believe import believed, fit_threshold, has_shape


def drawn(rows: slice, columns: slice) -> np.ndarray:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, rows, columns] = 255
    return image


def test_blank_dash_and_blot_are_no_digits_and_a_bar_is():
    assert not has_shape(np.zeros((1, 28, 28), np.uint8))[0]
    assert not has_shape(drawn(slice(13, 15), slice(4, 24)))[0], "a dash"
    assert not has_shape(drawn(slice(4, 24), slice(4, 24)))[0], "a blot"
    assert has_shape(drawn(slice(4, 24), slice(12, 15)))[0], "a one"
    assert has_shape(np.zeros((0, 28, 28), np.uint8)).shape == (0,)


def test_the_limits_are_where_they_are_stated():
    assert has_shape(drawn(slice(10, 20), slice(4, 24)))[0], "half as high as wide"
    assert not has_shape(drawn(slice(10, 19), slice(4, 24)))[0]
    assert has_shape(drawn(slice(4, 24), slice(8, 18)))[0], "ten pixels wide: a disc of radius 5"
    assert not has_shape(drawn(slice(4, 24), slice(8, 20)))[0], "twelve"


def test_the_shape_of_mnists_own_digits(mnist: Mnist):
    assert has_shape(mnist.train.images[:5000]).mean() > 0.998


def test_believed_needs_both():
    bar, blot = drawn(slice(4, 24), slice(12, 15)), drawn(slice(4, 24), slice(4, 24))
    images = np.concatenate([bar, bar, bar, blot])
    probabilities = np.zeros((4, 10))
    probabilities[:, 1] = 0.8, 0.7, 0.69, 0.99
    assert list(believed(probabilities, images, 0.7)) == [True, True, False, False]


@pytest.mark.parametrize("most", [0.0, 0.1, 0.25])
def test_the_threshold_is_the_greatest_that_keeps_its_promise(most: float):
    random = np.random.default_rng(0)
    collections = [random.random(200), random.random(333) ** 0.5]
    threshold = fit_threshold(collections, most)
    for collection in collections:
        assert (collection < threshold).mean() <= most
    beyond = np.nextafter(threshold, 2)
    assert any((collection < beyond).mean() > most for collection in collections)


def test_a_threshold_needs_digits():
    with pytest.raises(ValueError, match="empty"):
        fit_threshold([np.array([0.5]), np.array([])], 0.1)
