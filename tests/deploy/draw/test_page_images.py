"""From a picture to 28×28 in the page, against docs/digit-image.md and the package."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.data.images.vectors import PATH, array
from tests.support.drawn_pages import Sheet
from tests.support.page_scripts import array_of, text_of
from under20k.data.images.decode import decode
from under20k.data.images.digit_image import digit_image
from under20k.data.images.ink import ink_of

DIGIT_IMAGE = (
    """([values, height, width]) => textOf(digitImage({ values: floatsOf(values), height, width }))"""
)
VECTORS = json.loads(PATH.read_text())


def image_of(page, ink):
    """Return the page's 28×28 image of ink."""
    return array_of(page.evaluate(DIGIT_IMAGE, [text_of(ink), *ink.shape]), "u1").reshape(28, 28)


@pytest.mark.parametrize("vector", VECTORS, ids=[str(number) for number in range(len(VECTORS))])
def test_a_digit_image_is_the_specified_one_to_a_grey_level(page, vector):
    found = image_of(page, array(vector["ink"]))
    assert abs(found.astype(int) - array(vector["image"])).max() <= 1


def test_thick_and_wide_ink_is_thinned_and_narrowed_as_in_the_package(page):
    rng = np.random.default_rng(5)
    for height, width, grown in ((30, 26, 9), (140, 100, 45), (24, 24, 15), (200, 180, 21), (64, 20, 5)):
        field = rng.random((height, width)) > 0.995
        field[height // 2, width // 2] = True
        ink = ndimage.maximum_filter(field, grown) * 255.0
        assert abs(image_of(page, ink).astype(int) - digit_image(ink)).max() <= 1


def test_no_ink_is_an_empty_image(page):
    assert not image_of(page, np.zeros((5, 7))).any()


GREY = """([data, width, height]) => {
  const { values } = greyOf(new ImageData(new Uint8ClampedArray(bytesOf(data)), width, height));
  return textOf(values);
}"""


def pictures():
    """Return pictures, RGBA (H, W, 4): colours, ink as light as its paper, and transparent ones."""
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    opaque = noise.copy()
    opaque[..., 3] = 255
    equal = np.full((20, 30, 4), (200, 100, 0, 255), np.uint8)
    equal[5:9, 4:20] = (100, 151, 2, 255)
    ink = np.zeros((20, 30, 4), np.uint8)
    ink[4:15, 8:12] = (20, 20, 20, 255)
    ink[4:15, 12] = (20, 20, 20, 100)
    return {
        "opaque": opaque,
        "as light": equal,
        "noise": noise,
        "black": ink,
        "white": ink ^ (255, 255, 255, 0),
    }


@pytest.mark.parametrize("name", pictures())
def test_grey_levels_are_those_of_the_package(page, name):
    picture = pictures()[name].astype(np.uint8)
    size = picture.shape[1::-1]
    found = array_of(page.evaluate(GREY, [text_of(picture, "u1"), *size])).reshape(size[::-1])
    np.testing.assert_allclose(found, decode(Image.fromarray(picture)), atol=0.01)


INK = """([grey, height, width]) => textOf(inkOf({ values: floatsOf(grey), height, width }).values)"""


def digits():
    """Return pictures of a digit, (H, W): light, dark, small, in uneven light, noisy."""
    rng = np.random.default_rng(4)
    found = {}
    for side in (28, 120, 240):
        sheet = Sheet(side, side)
        sheet.digit(5, 0.35 * side, 0.2 * side, 0.6 * side, pen=max(2, side // 20))
        found[f"dark, {side}"] = sheet.grey
        found[f"light, {side}"] = 255 - sheet.grey
    slope = np.linspace(0.5, 1, 240)[:, None] * np.linspace(0.7, 1, 240)[None]
    found["uneven"] = found["dark, 240"] * slope
    found["noisy"] = np.clip(found["dark, 240"] * 0.7 + rng.normal(30, 8, (240, 240)), 0, 255)
    found["blank"] = np.full((60, 60), 200.0)
    return {name: grey.astype(np.float32) for name, grey in found.items()}


@pytest.mark.parametrize("name", digits())
def test_ink_of_a_digit_is_that_of_the_package(page, name):
    grey = digits()[name]
    found = array_of(page.evaluate(INK, [text_of(grey), *grey.shape])).reshape(grey.shape)
    expected = ink_of(grey)
    assert abs(found - expected).mean() < 1
    images = [digit_image(each).astype(int) for each in (found, expected)]
    assert abs(images[0] - images[1]).max() <= 12
