"""Labels of random points cover nothing; the same points give the same places."""

import itertools
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from under20k.report.placement import LEADER, Obstacles, cut, leader, overlaps, place

WIDTH, HEIGHT, HALF = 330.0, 300.0, 4.0
points = st.lists(st.tuples(st.floats(10, WIDTH - 10), st.floats(10, HEIGHT - 10)), min_size=1, max_size=14)
widths = st.lists(st.floats(8, 110), min_size=14, max_size=14)


def board(at) -> Obstacles:
    markers = [(x - HALF, y - HALF, x + HALF, y + HALF) for x, y in at]
    lines = [(0, 120, WIDTH, 120), *((x, y - 15, x, y + 15) for x, y in at)]
    return Obstacles((0, 0, WIDTH, HEIGHT), markers, lines)


@given(points, widths)
@settings(max_examples=60)
def test_labels_cover_nothing(at, wide):
    sizes = [(width, 10.0) for width in wide[: len(at)]]
    obstacles = board(at)
    centres = place(at, sizes, obstacles)
    placed = [
        (point, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), leader(point, (x, y), (w, h)))
        for point, (w, h), (x, y) in (
            (point, size, centre)
            for point, size, centre in zip(at, sizes, centres, strict=True)
            if centre is not None
        )
    ]
    for (_, one, _), (_, other, _) in itertools.combinations(placed, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for _, box, line in placed:
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= WIDTH
        assert box[3] <= HEIGHT
        for marker in obstacles.boxes:
            assert not (
                box[0] < marker[2] and marker[0] < box[2] and box[1] < marker[3] and marker[1] < box[3]
            )
        for segment in obstacles.segments:
            assert not walked(box, segment)
        if line is not None:
            assert not any(walked(other, line) for _, other, _ in placed if other is not box)
            assert math.hypot(line[2] - line[0], line[3] - line[1]) >= LEADER


def walked(box, segment) -> bool:
    """Whether any of many points of a segment lies within a box: an oracle for ``cut``."""
    steps = np.linspace(0, 1, 400)
    x = segment[0] + steps * (segment[2] - segment[0])
    y = segment[1] + steps * (segment[3] - segment[1])
    inside = (box[0] + 1e-6 < x) & (x < box[2] - 1e-6) & (box[1] + 1e-6 < y) & (y < box[3] - 1e-6)
    return bool(inside.any())


numbers = st.floats(-20, 20)
some_boxes = st.tuples(numbers, numbers, st.floats(0.5, 15), st.floats(0.5, 15)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(some_boxes, st.tuples(numbers, numbers, numbers, numbers))
def test_a_segment_that_passes_a_box_cuts_it(box, segment):
    found = bool(cut(np.array([box]), np.array([segment]))[0, 0])
    if walked(box, segment):
        assert found
    grown = (box[0] - 0.5, box[1] - 0.5, box[2] + 0.5, box[3] + 0.5)
    if found:
        assert walked(grown, segment)


def test_boxes_that_touch_do_not_overlap():
    one = np.array([[0.0, 0.0, 2.0, 2.0]])
    others = np.array(
        [[2.0, 0.0, 3.0, 2.0], [1.9, 1.9, 3.0, 3.0], [0.5, 0.5, 1.0, 1.0], [5.0, 5.0, 6.0, 6.0]]
    )
    assert overlaps(one, others).tolist() == [[False, True, True, False]]


def test_a_lone_label_stands_right_of_its_point():
    ((x, y),) = place(
        [(100.0, 100.0)], [(40.0, 10.0)], Obstacles((0, 0, WIDTH, HEIGHT), [(96, 96, 104, 104)])
    )
    assert x - 20 > 104
    assert y == 100


def test_two_labels_of_one_point_find_places():
    first, second = place(
        [(100.0, 100.0)] * 2, [(40.0, 10.0)] * 2, Obstacles((0, 0, WIDTH, HEIGHT), [(96, 96, 104, 104)])
    )
    assert first is not None
    assert second is not None
    assert first != second


def test_a_label_is_nearest_to_its_own_point():
    at = [(100.0, 100.0), (100.0, 108.0), (100.0, 116.0)]
    markers = [(x - 3, y - 3, x + 3, y + 3) for x, y in at]
    centres = place(at, [(40.0, 10.0)] * 3, Obstacles((0, 0, WIDTH, HEIGHT), markers))
    for point, (x, y) in zip(at, centres, strict=True):
        near = {
            other: math.hypot(max(abs(other[0] - x) - 20, 0), max(abs(other[1] - y) - 5, 0)) for other in at
        }
        assert near[point] == min(near.values())


def test_a_label_without_room_finds_no_place():
    assert place([(5.0, 5.0)], [(40.0, 10.0)], Obstacles((0, 0, 20, 20))) == [None]
    assert place([], [], Obstacles((0, 0, 20, 20))) == []


def test_the_same_points_give_the_same_places():
    at = [(100.0 + 3 * i % 7, 100.0 + i) for i in range(12)]
    sizes = [(50.0, 10.0)] * 12
    assert place(at, sizes, board(at)) == place(at, sizes, board(at))
