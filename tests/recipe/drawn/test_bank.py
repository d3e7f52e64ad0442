"""The bank of drawn digits: balanced, the same bytes everywhere, MNIST's own frame."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from under20k.errors import InvalidValue
from under20k.recipe.drawn import drawn_digits
from under20k.recipe.drawn.form import Form

DIGEST = "81e2537f8c9a76b085b2879b03f945d9fa9a03dbf0c75ed98cb9cb8de4e4e87b"
"""SHA-256 of 1,000 digits of seed 0: another machine that draws other pixels trains another network."""


def test_the_bytes_are_the_same_on_every_machine():
    images, labels = drawn_digits(1000, 0)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == DIGEST


def test_shapes_and_types():
    images, labels = drawn_digits(37, 1)
    assert images.shape == (37, 28, 28)
    assert labels.shape == (37,)
    assert images.dtype == labels.dtype == np.uint8


def test_seeds_draw_different_digits():
    assert not np.array_equal(drawn_digits(50, 1)[0], drawn_digits(50, 2)[0])


@pytest.mark.parametrize("count", [0, 1, 9, 10, 503])
def test_balanced_over_the_digits(count: int):
    _, labels = drawn_digits(count, 3)
    counts = np.bincount(labels, minlength=10)
    assert counts.sum() == count
    assert counts.max() - counts.min() <= 1


def test_in_random_order():
    _, labels = drawn_digits(1000, 3)
    assert np.bincount(labels[:100], minlength=10).min() > 0
    assert 50 < (labels[1:] == labels[:-1]).sum() < 150


def test_a_form_is_drawn_as_often_as_its_weight_says():
    often, seldom = Form(1, "often", "0,0 0,100", weight=3), Form(1, "seldom", "0,0 0,100", weight=1)
    both, _ = drawn_digits(100, 5, (often, seldom))
    alone, _ = drawn_digits(75, 5, (often,))
    drawn = {image.tobytes() for image in both}
    assert sum(image.tobytes() in drawn for image in alone) == 75


def test_the_longer_side_is_20_pixels_and_the_centre_of_mass_at_the_centre():
    images, _ = drawn_digits(500, 7)
    for image in images:
        # Half a level of ink: the outline, without the pixels that it only touches.
        rows, columns = np.nonzero(image > image.max() / 2)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        for centre, ink in zip(ndimage.center_of_mass(image), (rows, columns), strict=True):
            # Unless a side of 20 pixels would leave the image.
            assert centre == pytest.approx(13.5, abs=0.501) or ink.min() <= 1 or ink.max() >= 26


def test_no_digit_is_cut_off():
    images, _ = drawn_digits(2000, 8)
    # Of a 7, whose ink is at the top, blurred borders reach the edge of the image.
    assert images[:, [0, -1]].max() < 64
    assert images[:, :, [0, -1]].max() < 64


def test_a_seed_that_is_none():
    with pytest.raises(InvalidValue, match="seed: -1"):
        drawn_digits(10, -1)
