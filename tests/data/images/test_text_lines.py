import numpy as np
import pytest

from under20k.data.images.blobs import Blob
from under20k.data.images.text_lines import lines_of


def blob(left, top, high=30, wide=20):
    return Blob(round(top), round(left), np.ones((high, wide), bool), 1.0)


def order(blobs):
    return [[(each.left, each.top) for each in line] for line in lines_of(blobs)]


def test_nothing_has_no_lines():
    assert lines_of([]) == []


@pytest.mark.parametrize("slope", [-0.1, -0.04, 0, 0.04, 0.1])
@pytest.mark.parametrize("pitch", [45, 60, 100])
def test_lines_of_any_slope_are_told_apart(slope, pitch):
    lines = [
        [blob(x, 200 + line * pitch + slope * x + (line * 7 + x) % 5) for x in range(20, 700, 34)]
        for line in range(4)
    ]
    mixed = [each for line in lines for each in line]
    np.random.default_rng(1).shuffle(mixed)
    assert order(mixed) == [[(each.left, each.top) for each in line] for line in lines]


def test_a_fan_of_lines_is_told_apart():
    lines = [
        [blob(x, 100 + line * 70 + (line - 3) * 0.025 * x) for x in range(20, 900, 40)] for line in range(7)
    ]
    assert order([each for line in lines for each in line]) == [
        [(each.left, each.top) for each in line] for line in lines
    ]


def test_low_digits_belong_to_the_line_of_their_neighbours():
    line = [blob(20, 100), blob(60, 115, 14), blob(100, 100), blob(140, 100, 14), blob(180, 102)]
    assert len(lines_of(line)) == 1


def test_single_digits_below_each_other_are_lines():
    column = [blob(50, 60 * number) for number in range(5)]
    assert [len(line) for line in lines_of(column)] == [1] * 5
