"""The ink of pictures of one digit: polarity, uneven light, noise, transparency, rotation."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from under20k.data.images.decode import decode
from under20k.data.images.digit_image import digit_image
from under20k.data.images.ink import ink_of

PICTURES = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=90), elements=st.integers(0, 255))


def transparent(digit):
    pixels = np.zeros((*digit.shape, 4), np.uint8)
    pixels[..., 3] = digit
    return Image.fromarray(pixels)


def on_its_side(digit):
    exif = Image.Exif()
    exif[0x112] = 6
    file = io.BytesIO()
    turned = Image.fromarray(255 - digit).transpose(Image.Transpose.ROTATE_90)
    turned.save(file, "JPEG", exif=exif, quality=90)
    return file.getvalue()


def on_paper(digit):
    return np.rint(np.linspace(120, 235, digit.shape[1]) * (1 - 0.75 * digit / 255)).astype(np.uint8)


def in_a_corner(digit):
    picture = np.zeros((560, 560), np.uint8)
    picture[:280, :280] = digit
    return picture


def noisy(digit):
    noise = np.random.default_rng(0).normal(0, 6, digit.shape)
    return np.clip(200 - 0.6 * digit.astype(float) + noise, 0, 255).astype(np.uint8)


def with_specks(digit):
    picture = 255 - digit
    picture[4:7, 4:7] = picture[270:273, 8:10] = 0
    return picture


CHANGES = {
    "white on black": (lambda digit: digit, 0.5),
    "black on white": (lambda digit: 255 - digit, 0.5),
    "a transparent canvas": (transparent, 0.5),
    "16 bits": (lambda digit: Image.fromarray(digit.astype(np.uint16) * 257), 0.5),
    "low contrast": (lambda digit: (100 + digit // 3).astype(np.uint8), 4),
    "uneven light": (on_paper, 4),
    "a JPEG on its side": (on_its_side, 4),
    "in a corner": (in_a_corner, 0.5),
    "noise": (noisy, 4),
    "specks": (with_specks, 4),
}
"""What is done to a digit of 280×280, and how many grey levels images differ in the mean, in the median."""


@pytest.fixture(scope="module")
def digits(mnist):
    images = mnist.validation.images[:24]
    return [
        np.asarray(Image.fromarray(image).resize((280, 280), Image.Resampling.BICUBIC)) for image in images
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_the_image_is_the_same_however_the_digit_was_pictured(digits, change):
    alter, tolerance = CHANGES[change]
    differences = []
    for digit in digits:
        plain = digit_image(ink_of(decode(digit))).astype(float)
        altered = digit_image(ink_of(decode(alter(digit)))).astype(float)
        differences.append(np.abs(plain - altered).mean())
    assert np.median(differences) <= tolerance
    assert max(differences) <= 5 * tolerance  # a faint end that is lost changes the size of all


def test_ink_of_an_mnist_image_is_the_image(mnist):
    for image in mnist.validation.images[:200]:
        np.testing.assert_allclose(ink_of(decode(image)), image, atol=1.5)
        np.testing.assert_allclose(ink_of(decode(255 - image)), image, atol=1.5)


def test_strokes_that_reach_the_border_are_ink():
    diagonal = np.abs(np.subtract.outer(np.arange(30), np.arange(30))) < 7
    for ink in (diagonal, np.pad(np.ones((30, 12), bool), ((0, 0), (9, 9)))):
        picture = ink * 255.0
        assert (ink_of(decode(picture)) > 127).tolist() == ink.tolist()
        assert (ink_of(decode(255 - picture)) > 127).tolist() == ink.tolist()


@pytest.mark.parametrize("side", [1, 8, 28, 200, 700])
def test_blank_paper_has_no_ink(side):
    noise = np.random.default_rng(side).normal(0, 1.5, (side, side))
    slope = np.linspace(0, 80, side)
    for picture in (
        np.full((side, side), 255.0),
        np.zeros((side, side)),
        200 + noise,
        120 + slope * (side > 100) + noise,
    ):
        assert not ink_of(decode(np.clip(picture, 0, 255))).any()


@settings(max_examples=150, deadline=None)
@given(PICTURES)
def test_any_picture_has_ink_from_0_to_255(picture):
    ink = ink_of(decode(picture))
    assert ink.shape == picture.shape
    assert ink.dtype == np.float32
    assert ink.min() >= 0
    assert ink.max() <= 255
    assert digit_image(ink).shape == (28, 28)
