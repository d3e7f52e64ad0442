"""Pictures of every common kind become luminance, and what is none is refused in one line."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from under20k.data.images.decode import UnreadablePicture, decode

RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8))
GREY = RGB.convert("L")
FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"]


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_from_a_path_bytes_and_a_file(kind, tmp_path):
    content = encoded(GREY, kind)
    path = tmp_path / "picture"
    path.write_bytes(content)
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("L"), np.float32)
    for source in (path, str(path), content, io.BytesIO(content)):
        grey = decode(source)
        assert grey.dtype == np.float32
        np.testing.assert_array_equal(grey, expected)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_picture_is_refused_in_one_line(kind):
    content = encoded(RGB, kind)
    with pytest.raises(UnreadablePicture) as refusal:
        decode(content[: len(content) // 2])
    assert "\n" not in str(refusal.value)


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"]),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_every_mode_is_read(mode, size):
    picture = RGB.resize(size).convert(mode)
    grey = decode(picture)
    assert grey.shape == size[::-1]
    assert grey.min() >= 0
    assert grey.max() <= 255.5


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(FORMATS), st.integers(0, 150))
def test_damaged_bytes_are_read_or_refused(noise, kind, position):
    content = encoded(RGB, kind)
    message = ""
    try:
        assert decode(content[:position] + noise + content[position + len(noise) :]).ndim == 2
    except UnreadablePicture as refusal:
        message = str(refusal)
    assert "\n" not in message


def test_sixteen_bits_are_scaled_to_eight():
    wide = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_allclose(decode(encoded(wide, kind)), np.asarray(GREY), atol=0.01)


def test_exif_orientation_turns_the_picture_upright():
    exif = Image.Exif()
    exif[0x112] = 6
    turned = encoded(GREY.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(turned), np.asarray(GREY))


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_that_only_alpha_shows_contrasts_with_its_background(ink):
    pixels = np.full((9, 9, 4), ink, np.uint8)
    pixels[..., 3] = 0
    pixels[3:6, 4, 3] = 255
    for source in (pixels, Image.fromarray(pixels), pixels / 255, Image.fromarray(pixels).convert("LA")):
        grey = decode(source)
        assert abs(grey[4, 4] - grey[0, 0]) == 255
        assert grey[4, 4] == ink


def test_a_transparent_margin_becomes_paper():
    pixels = np.full((20, 20, 4), 240, np.uint8)
    pixels[:4, :, 3] = 0
    pixels[8:16, 9:11, :3] = 10
    pixels[4:, :, 3] = 255
    assert decode(pixels)[0, 0] == pytest.approx(240)


def test_ink_as_light_as_its_paper_is_seen_by_its_colour():
    pixels = np.full((9, 9, 3), (200, 100, 100), np.uint8)
    pixels[4] = (90, 160, 70)
    for source in (pixels, Image.fromarray(pixels)):
        grey = decode(source)
        assert abs(grey[4, 4] - grey[0, 0]) > 100


@pytest.mark.parametrize("scale", [bool, np.uint8, np.float32, np.uint16])
def test_arrays_of_every_range_are_scaled(scale):
    values = np.array([[0, 1]], bool)
    array = {bool: values, np.uint8: values * 255, np.float32: values * 1.0, np.uint16: values * 65535}[scale]
    np.testing.assert_array_equal(decode(np.asarray(array, scale)), [[0, 255]])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 3)), "0×3 is empty"),
        (np.full((2, 2), np.nan), "not finite"),
        (np.full((2, 2), -1.0), "-1; expected 0 or more"),
        (np.zeros((2, 2, 7)), "2×2×7 is not a picture"),
        (np.array([["x"]]), "expected numbers"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array, words):
    with pytest.raises(UnreadablePicture, match=words):
        decode(array)


def test_what_is_no_picture_is_refused(tmp_path):
    for source, words in (
        (b"hello", "not a picture"),
        (tmp_path, "directory"),
        (tmp_path / "a.png", "No such"),
    ):
        with pytest.raises(UnreadablePicture, match=words):
            decode(source)


@pytest.mark.parametrize("limit", [700, 400, 100])
def test_more_pixels_than_pillow_allows_are_refused(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UnreadablePicture, match=f"more than {limit} pixels"):
        decode(encoded(RGB, "PNG"))
