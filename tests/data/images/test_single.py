import numpy as np
import pytest

from tests.support.drawn_pages import Sheet
from under20k.data.images.blobs import Blob
from under20k.data.images.single import are_one, is_medium, is_small, is_solid, is_table


def blob(left, top, high, wide):
    return Blob(top, left, np.ones((high, wide), bool), 1.0)


@pytest.mark.parametrize(
    ("shape", "small", "medium"),
    [
        ((8, 8), True, True),
        ((48, 48), True, True),
        ((48, 20), True, True),
        ((28, 140), False, False),
        ((280, 280), False, True),
        ((2000, 1500), False, False),
    ],
)
def test_the_size_of_a_picture_tells_whether_it_is_one_digit(shape, small, medium):
    assert (is_small(shape), is_medium(shape)) == (small, medium)


def test_parts_of_one_digit_are_one():
    assert are_one([blob(10, 10, 40, 20), blob(25, 8, 6, 12), blob(12, 60, 10, 20)])
    assert are_one([blob(10, 10, 60, 20)])


@pytest.mark.parametrize(
    "blobs",
    [
        [blob(10, 10, 40, 20), blob(40, 10, 40, 20)],
        [blob(10, 10, 40, 20), blob(10, 90, 40, 20)],
        [blob(10, 10, 40, 60)],
        [],
    ],
)
def test_digits_beside_or_below_each_other_are_not(blobs):
    assert not are_one(blobs)


def grid(*, lines, digits, high=40):
    return [[blob(30 * column, 50 * row, high, 20) for column in range(digits)] for row in range(lines)]


def test_lines_of_several_digits_are_a_table():
    assert is_table(grid(lines=2, digits=2))
    assert is_table(grid(lines=4, digits=2))
    assert is_table([*grid(lines=2, digits=2), [blob(0, 100, 40, 20)]])


@pytest.mark.parametrize(
    "lines",
    [
        grid(lines=2, digits=1),  # an 8 may have fallen into two
        grid(lines=1, digits=3),
        [[blob(0, 0, 90, 20), blob(30, 0, 8, 8)], [blob(0, 100, 8, 8), blob(30, 100, 8, 8)]],
    ],
)
def test_pieces_of_one_digit_are_no_table(lines):
    assert not is_table(lines)


def test_the_ink_of_a_digit_is_solid_and_noise_is_not():
    sheet = Sheet(100, 80)
    sheet.digit(2, 15, 15, 70, 9)
    assert is_solid(255 - sheet.grey)
    random = np.random.default_rng(0)
    assert not is_solid(random.uniform(0, 255, (100, 80)).astype(np.float32))
    assert not is_solid(np.linspace(0, 255, 8000, dtype=np.float32).reshape(100, 80))
    assert not is_solid(np.zeros((50, 50), np.float32))
