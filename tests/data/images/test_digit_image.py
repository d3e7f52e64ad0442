"""The way from ink to 28×28: MNIST's own images stay, and a second implementation agrees."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from tests.data.images import vectors
from tests.data.images.plain_digit_image import plain_digit_image
from under20k.data.images.digit_image import digit_image, stroke_width

INKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 255))


def differs_by(first, second):
    return int(np.abs(np.asarray(first, int) - np.asarray(second, int)).max())


def test_the_committed_vectors_hold():
    committed = json.loads(vectors.PATH.read_text())
    assert len(committed) >= 30
    for vector, ink in zip(committed, vectors.inks(), strict=True):
        np.testing.assert_array_equal(vectors.array(vector["ink"]), ink)
        assert differs_by(digit_image(ink), vectors.array(vector["image"])) <= 1


def test_the_page_alone_is_enough_for_a_second_implementation():
    for ink in vectors.inks()[::3]:
        assert differs_by(digit_image(ink), plain_digit_image(ink)) <= 1


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(INKS)
def test_the_second_implementation_agrees_on_any_ink(ink):
    assert differs_by(digit_image(ink), plain_digit_image(ink)) <= 1


@settings(max_examples=100, deadline=None)
@given(INKS)
def test_any_ink_is_fitted_and_centred(ink):
    image = digit_image(ink)
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    if not ink.any():
        assert not image.any()
        return
    assert image.max() >= 240
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    sides = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(sides) <= 20
    mass = image / image.sum()
    for axis, pixels in ((0, rows), (1, columns)):
        centre = (mass.sum(1 - axis) * (np.arange(28) + 0.5)).sum()
        touches_the_edge = pixels[0] == 0 or pixels[-1] == 27
        assert 13.9 <= centre <= 15.1 or touches_the_edge or max(sides) < 20


def test_what_is_far_from_zero_at_both_ends_has_a_longer_side_of_20():
    for shape in ((8, 5), (20, 20), (28, 9), (300, 120), (40, 41)):
        image = digit_image(np.full(shape, 200.0))
        assert max(np.ptp(np.flatnonzero(image.any(axis))) + 1 for axis in (0, 1)) == 20


def test_images_of_mnist_come_back(mnist):
    images = mnist.validation.images[:1000]
    # Below this width, strokes are faint and may be darkened; above 4.9, thick and may be thinned.
    inner = images[[1.9 < stroke_width(image.astype(float)) < 4.9 for image in images]]
    assert len(inner) > 700
    differences = [differs_by(image, digit_image(image)) for image in inner]
    assert np.quantile(differences, 0.9) <= 24
    assert np.mean(np.array(differences) <= 1) > 0.75


def test_enlarged_images_come_back(mnist):
    images = mnist.validation.images[:100]
    differences = [
        differs_by(digit_image(np.kron(image, np.ones((10, 10), np.uint8))), digit_image(image))
        for image in images
    ]
    assert np.quantile(differences, 0.95) <= 1  # thick ones are thinned at another resolution


def test_a_1_that_was_stretched_to_a_square_becomes_narrow():
    ink = np.zeros((28, 28))
    ink[:, 4:24] = 255
    ink[0, 0] = ink[27, 27] = ink[27, 0] = ink[0, 27] = 255
    assert stroke_width(digit_image(ink).astype(float)) < 6


def test_thick_strokes_are_thinned_and_keep_their_shape():
    ring = np.hypot(*np.mgrid[-60:61, -60:61])
    thick = ((ring > 10) & (ring <= 60)) * 255.0
    image = digit_image(thick)
    assert stroke_width(image.astype(float)) < stroke_width(
        np.asarray(Image.fromarray(thick.astype(np.uint8)).resize((20, 20), Image.Resampling.BOX), float)
    )
    assert image[14, 14] < 64


def test_faint_strokes_are_darkened():
    distance = np.abs(np.hypot(*np.mgrid[-100:101, -100:101]) - 95)
    fine = digit_image((distance < 1.5) * 255.0)
    assert np.median(fine[fine > 128]) >= 200
    assert np.median(fine[8:20].max(1)) >= 200
