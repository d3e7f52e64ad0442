"""No layer overwrites what it still has to read, and no smaller buffer would do."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.deploy.export.work_buffer import Map, WorkBuffer, lead, work_buffer

MINIMAL = [
    Map(28, 28 * 8, stride=2, padding=1),
    Map(14, 14 * 12, padding=1),
    Map(14, 14 * 14, stride=2, padding=1),
    Map(7, 7 * 16),
    Map(5, 5 * 20),
    Map(3, 3 * 24),
]


def is_sound(maps: list[Map], buffer: WorkBuffer) -> bool:
    """Whether each row is written over nothing that is read with it or later: one element at a time."""
    for each, offset in zip(maps, buffer.offsets, strict=True):
        if offset < 0 or offset + each.size > buffer.size:
            return False
    for (before, start), (after, to) in itertools.pairwise(zip(maps, buffer.offsets, strict=True)):
        for row in range(after.rows):
            written = {to + element for element in range(row * after.row_size, (row + 1) * after.row_size)}
            first = max(0, before.stride * row - before.padding)
            still_read = range(start + first * before.row_size, start + before.size)
            if not written.isdisjoint(still_read):
                return False
    return True


def test_the_minimal_recipes_buffer_is_hardly_larger_than_its_largest_map():
    buffer = work_buffer(MINIMAL)
    assert is_sound(MINIMAL, buffer)
    assert buffer.size == 28 * 28 * 8 + 14 * 12  # a row of the second map
    apart = max(before.size + after.size for before, after in itertools.pairwise(MINIMAL))
    assert buffer.size < 0.75 * apart


@st.composite
def networks(draw):
    maps, rows = [], draw(st.integers(3, 6))
    for _ in range(draw(st.integers(1, 4))):
        stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 1))
        maps.append(Map(rows, draw(st.integers(1, 9)), stride, padding))
        rows = (rows - 2 + 2 * padding) // stride
        if rows < 1:
            break
    return maps


@given(networks())
def test_the_buffer_is_sound_and_the_smallest(maps):
    buffer = work_buffer(maps)
    assert is_sound(maps, buffer)
    smaller = buffer.size - 1
    starts = [range(smaller - each.size + 1) for each in maps]
    if all(starts) and len(list(itertools.product(*starts[:3]))) < 3000 and len(maps) <= 3:
        assert not any(is_sound(maps, WorkBuffer(smaller, tried)) for tried in itertools.product(*starts))


@pytest.mark.parametrize(("stride", "padding", "expected"), [(1, 0, 6), (1, 1, 12), (2, 1, 6)])
def test_the_lead_leaves_the_rows_that_are_still_read(stride, padding, expected):
    assert lead(Map(4, 6, stride, padding), Map(2, 6)) == expected
