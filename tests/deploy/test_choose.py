import numpy as np
import pytest

from under20k.data.images.segment import APART, Box, Parts, Segment
from under20k.deploy.choose import candidates, chosen


def segment(left, right, parts=None):
    return Segment(Box(left, 0, right, 40), np.zeros((40, right - left), np.float32), 0, parts)


def touching():
    """Two digits that touch, with a wrong cut, too."""
    cuts = [0, 8, 22, 44]
    between = {
        (start, stop): segment(cuts[start], cuts[stop]) for start in range(4) for stop in range(start + 1, 4)
    }
    return segment(0, 44, Parts([2.0, 1.0], 40, between))


def believed(found, likely):
    """Probabilities of the candidates: those of the boxes named are near 1."""
    rows = np.full((len(found), 10), 0.03)
    for row, each in zip(rows, found, strict=True):
        row[3] = 0.97 if (each.box.left, each.box.right) in likely else 0.15
    return rows / rows.sum(1, keepdims=True)


def boxes(found, likely):
    options = candidates(found)
    return [options[index].box[::2] for index in chosen(found, believed(options, likely))]


def test_segments_without_parts_stay():
    found = [segment(0, 20), segment(30, 50)]
    assert candidates(found) == found
    assert chosen(found, np.full((2, 10), 0.1)) == [0, 1]
    assert chosen([], np.zeros((0, 10))) == []


@pytest.mark.parametrize("likely", [[(0, 22), (22, 44)], [(0, 44)], [(0, 8), (8, 44)]])
def test_the_parts_that_are_believed_are_chosen_in_reading_order(likely):
    found = [segment(-50, -20), touching(), segment(70, 90)]
    assert boxes(found, [*likely, (-50, -20)]) == [(-50, -20), *likely, (70, 90)]


def test_one_digit_is_preferred_where_belief_is_equal():
    cuts = [0, 15, 30]
    between = {(start, stop): segment(cuts[start], cuts[stop]) for start, stop in [(0, 1), (1, 2), (0, 2)]}
    found = [segment(0, 30, Parts([1.0], 40, between))]
    assert boxes(found, [(0, 15), (15, 30), (0, 30)]) == [(0, 30)]


def test_a_digit_of_its_line_is_preferred_to_scraps_that_are_believed_as_much():
    between = {(0, 1): segment(0, 15), (0, 2): segment(0, 30)}
    between[1, 2] = Segment(Box(15, 20, 30, 40), np.zeros((20, 15), np.float32), 0)
    found = [segment(0, 30, Parts([0.5], 40, between))]
    assert boxes(found, [(0, 15), (15, 30)]) == [(0, 30)]


@pytest.mark.parametrize("likely", [[(0, 14), (18, 30)], [(0, 30)]])
def test_what_is_apart_is_read_as_the_network_believes(likely):
    between = {(0, 1): segment(0, 14), (1, 2): segment(18, 30), (0, 2): segment(0, 30)}
    assert boxes([segment(0, 30, Parts([APART], 40, between))], likely) == likely
