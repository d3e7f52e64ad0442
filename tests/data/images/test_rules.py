import numpy as np
import pytest

from tests.support.drawn_pages import Sheet
from under20k.data.images.rules import without_rules


@pytest.mark.parametrize("thickness", [1, 2, 4])
@pytest.mark.parametrize("slope", [0, 0.02, -0.05])
@pytest.mark.parametrize("turned", [False, True])
def test_long_lines_go_and_digits_stay(thickness, slope, turned):
    digits, both = Sheet(300, 500), Sheet(300, 500)
    for sheet in (digits, both):
        for number, value in enumerate((5, 2, 7, 0, 4)):
            sheet.digit(value, 40 + 85 * number, 90, 70, 8)
    for row in range(20, 300, 50):
        both.stroke([(0, row), (499, row + slope * 500)], thickness)
    clean, lined = (sheet.grey < 128 for sheet in (digits, both))
    if turned:
        clean, lined = clean.T, lined.T
    rest = without_rules(lined, lined)
    assert (rest & ~clean).sum() < 0.03 * (lined & ~clean).sum() + 60
    assert (clean & ~rest).sum() < 0.03 * clean.sum()


def test_a_row_of_touching_digits_is_no_line():
    sheet = Sheet(120, 780)
    for number in range(16):
        sheet.digit(7 if number % 2 else 5, 20 + 45 * number, 30, 60, 6)
    mask = sheet.grey < 128
    assert (without_rules(mask, mask) == mask).all()


def test_the_bar_of_a_large_digit_is_no_line():
    sheet = Sheet(300, 300)
    sheet.digit(7, 30, 30, 240, 14)
    mask = sheet.grey < 128
    assert (without_rules(mask, mask) == mask).all()


def test_a_mask_without_ink_stays_empty():
    assert not without_rules(np.zeros((90, 120), bool), np.zeros((90, 120), bool)).any()
