"""benchmarks/reading/others.py: pictures of what is no digit."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.reading import others
from benchmarks.reading.fonts import missing


@pytest.mark.parametrize("kind", others.KINDS)
def test_each_kind_is_drawn_alike_every_time_and_varies(kind):
    if kind in ("letters", "punctuation") and missing():
        pytest.skip("needs the fonts")
    pictures = others.KINDS[kind](20)
    assert len(pictures) == 20
    assert len({picture.tobytes() for picture in pictures}) > 15
    again = others.KINDS[kind](20)
    assert all((one == two).all() for one, two in zip(pictures, again, strict=True))
    assert {picture.dtype for picture in pictures} == {np.dtype(np.uint8)}


def test_letters_leave_out_those_that_are_digits_to_somebody():
    assert not set(others.LETTERS) & set("OoDQIlizZyYsSGbBgqLl0123456789") - set("LY")
    assert len(set(others.LETTERS)) == len(others.LETTERS) >= 30


def test_lines_are_no_ones():
    for picture in others.lines(50):
        rows, columns = np.nonzero(picture < 130)
        assert np.ptp(columns) > np.ptp(rows)


def test_blots_are_one_filled_piece():
    for picture in others.blots(20):
        ink = picture < 130
        assert ndimage.label(ink)[1] == 1
        assert (ndimage.binary_fill_holes(ink) == ink).all()


def test_blank_paper_has_no_ink():
    for picture in others.blank(20):
        smooth = ndimage.uniform_filter(picture.astype(float), 9)
        assert np.abs(picture - smooth).max() < 40


def test_two_digits_overlap_and_keep_their_ink():
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 5:25, 10:14] = 255
    images[1, 5:25, 8:18] = 200
    (both,) = others.pairs(images)
    assert both.shape == (28, 4 + 10 - 2)
    assert (both[5:25, :4] == 255).all()
    assert (both[5:25, 4:] == 200).all()
