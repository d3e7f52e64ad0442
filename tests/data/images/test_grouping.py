import numpy as np

from under20k.data.images.blobs import Blob
from under20k.data.images.grouping import joined, may_be_one


def blob(left, top, high, wide):
    return Blob(top, left, np.ones((high, wide), bool), 1.0)


def test_a_bar_beside_the_top_of_a_digit_joins_it():
    (whole,) = joined([blob(10, 14, 26, 18), blob(22, 8, 4, 14)], 32)
    assert (whole.top, whole.left, whole.bottom, whole.right) == (8, 10, 40, 36)
    assert whole.area == 26 * 18 + 4 * 14


def test_the_two_strokes_of_a_4_are_one():
    assert len(joined([blob(10, 10, 20, 16), blob(29, 12, 30, 4)], 32)) == 1


def test_two_ones_stay_two():
    assert len(joined([blob(10, 10, 30, 4), blob(18, 11, 30, 4)], 32)) == 2


def test_digits_of_two_lines_stay_apart():
    assert len(joined([blob(10, 10, 30, 20), blob(10, 44, 30, 20)], 32)) == 2


def test_parts_join_the_nearer_digit():
    first, part, second = blob(10, 10, 30, 20), blob(33, 12, 6, 6), blob(45, 10, 30, 20)
    assert sorted(each.width for each in joined([first, part, second], 32)) == [20, 29]


def test_halves_beside_each_other_may_be_one_digit_and_neighbours_are_not():
    left = Blob(10, 10, np.ones((40, 8), bool), 0.8)
    assert may_be_one(left, Blob(12, 22, np.ones((38, 8), bool), 0.8), 40)
    assert not may_be_one(left, Blob(12, 30, np.ones((38, 8), bool), 0.8), 40)
    assert not may_be_one(left, Blob(12, 22, np.ones((38, 40), bool), 0.8), 40)
