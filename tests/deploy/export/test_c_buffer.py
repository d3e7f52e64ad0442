"""Values that are needed at once lie apart, and the buffer is no larger than it has to be."""

from hypothesis import given
from hypothesis import strategies as st

from under20k.deploy.export.c_buffer import Value, placed


@st.composite
def lives(draw: st.DrawFn) -> list[Value]:
    """Values with any size and life."""
    values = []
    for number in range(draw(st.integers(1, 12))):
        first = draw(st.integers(0, 15))
        values.append(Value(str(number), draw(st.integers(1, 50)), first, first + draw(st.integers(0, 5))))
    return values


@given(lives())
def test_values_that_live_at_once_do_not_overlap(values):
    size, offsets = placed(values)
    for step in range(21):
        taken = [
            place
            for value in values
            if value.first <= step <= value.last
            for place in range(offsets[value.name], offsets[value.name] + value.size)
        ]
        assert len(taken) == len(set(taken))
        assert all(0 <= place < size for place in taken)


def test_a_chain_takes_its_two_largest_neighbours():
    sizes = [784, 5408, 1352, 2704, 10]
    values = [Value(str(i), size, i, i + 1) for i, size in enumerate(sizes)]
    assert placed(values)[0] == 5408 + 1352
