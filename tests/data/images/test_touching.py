import numpy as np
import pytest

from tests.support.drawn_pages import Sheet
from under20k.data.images.blobs import cropped
from under20k.data.images.touching import cuts


def blob(*digits, pen=5):
    sheet = Sheet(100, 400)
    for value, left in digits:
        sheet.digit(value, left, 20, 60, pen)
    return cropped(0, 0, sheet.grey < 128, 1.0)


def covers(part, left, right):
    return abs(part.left - left) < 8 and abs(part.right - right) < 8


@pytest.mark.parametrize("pair", [((0, 20), (0, 63)), ((5, 20), (2, 57)), ((2, 20), (7, 56))])
def test_one_way_to_cut_two_digits_is_where_they_touch(pair):
    first, second = (blob(digit) for digit in pair)
    found = cuts(blob(*pair), 60)
    assert found is not None
    last = len(found.crossed) + 1
    assert any(
        covers(found.parts[0, cut], first.left, first.right)
        and covers(found.parts[cut, last], second.left, second.right)
        for cut in range(1, last)
        if (0, cut) in found.parts and (cut, last) in found.parts
    )


def test_parts_lie_in_the_whole_and_make_it_up():
    whole = blob((5, 20), (0, 55), (2, 100))
    found = cuts(whole, 60)
    assert found is not None
    last = len(found.crossed) + 1
    assert found.parts[0, last] is whole
    assert found.crossed == [pytest.approx(each) for each in found.crossed if each >= 0]
    for cut in range(1, last):
        sides = [found.parts.get(ends) for ends in ((0, cut), (cut, last))]
        if all(sides):
            assert sum(side.area for side in sides) == whole.area


@pytest.mark.parametrize("value", [1, 5])
def test_a_narrow_digit_is_one(value):
    narrow = cropped(0, 0, np.pad(blob((value, 20)).mask[:, :30], 2), 1.0)
    assert cuts(narrow, 60) is None
