from dataclasses import replace

import numpy as np
from scipy import ndimage

from under20k.data.images.blobs import (
    Blob,
    blobs_of,
    cropped,
    merged,
    typical_height,
    without_borders,
    without_discs,
    without_faint,
    without_specks,
)
from under20k.data.images.page_ink import PageInk


def blob(left, top, high, wide, level=0.8):
    return Blob(top, left, np.ones((high, wide), bool), level)


def page(mask):
    return PageInk(mask * np.float32(0.7), mask, mask, np.zeros_like(mask), 1)


def test_connected_ink_is_a_blob():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:14] = mask[30:34, 14:20] = True
    mask[10:40, 50:55] = True
    first, second = sorted(blobs_of(page(mask)), key=lambda each: each.left)
    assert (first.left, first.top, first.right, first.bottom, first.area) == (10, 10, 20, 34, 104)
    assert (second.left, second.area) == (50, 150)


def test_merged_blobs_cover_the_same_pixels():
    whole = merged([blob(5, 5, 10, 4), blob(12, 2, 3, 8)])
    assert (whole.left, whole.top, whole.right, whole.bottom) == (5, 2, 20, 15)
    assert whole.area == 40 + 24


def test_specks_hardly_change_the_typical_height():
    digits = [blob(30 * n, 20, 40, 20) for n in range(5)]
    specks = [blob(7 * n, 5, 3, 3) for n in range(60)]
    assert typical_height(digits + specks) == 40
    assert without_specks(digits + specks, 1) == digits


def test_long_lines_and_large_ink_at_an_edge_are_dropped():
    digits = [blob(100 + 30 * n, 60, 40, 20) for n in range(5)]
    border, shadow, line = blob(0, 0, 300, 12), blob(250, 200, 100, 150), blob(40, 150, 4, 200)
    assert without_borders([*digits, border, shadow, line], (300, 400)) == digits


def test_a_digit_at_an_edge_is_kept():
    digits = [blob(30 * n, 60, 40, 20) for n in range(5)]
    assert without_borders(digits, (300, 400)) == digits


def test_what_shows_through_is_dropped():
    digits = [blob(30 * n, 60, 40, 20) for n in range(5)]
    faint = [blob(30 * n, 160, 40, 20, 0.2) for n in range(9)]
    assert without_faint(digits + faint, page(np.zeros((300, 300), bool))) == digits
    assert without_faint([blob(9, 9, 40, 20, 0.15)], page(np.zeros((300, 300), bool))) == []


def test_punched_holes_are_dropped_and_thick_digits_are_not(mnist):
    y, x = np.mgrid[0:40, 0:40]
    hole = Blob(10, 10, np.hypot(y - 19.5, x - 19.5) < 20, 0.8)
    digits = [
        cropped(0, 0, ndimage.binary_dilation(np.kron(image, np.ones((3, 3))) > 80, iterations=2), 0.8)
        for image in mnist.validation.images[:200]
    ]
    assert without_discs([hole, *digits]) == digits


def test_crumbs_of_a_border_are_dropped_and_a_digit_near_it_is_not():
    mask, outside = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    outside[:, :10] = True
    mask[20:40, 12:15] = mask[10:40, 30:34] = mask[45:50, 12:40] = True
    found = blobs_of(replace(page(mask), outside=outside))
    assert sorted(each.left for each in found) == [12, 30]
