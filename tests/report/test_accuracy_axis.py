import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.report.accuracy_axis import TARGET, axis_range, below_axis, draw_accuracy_axis, shown_epochs
from under20k.report.figures import LIGHT, default_style
from under20k.report.layout import laid_out


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([99.4], (99.2, 99.6)),
        ([99.23, 99.55], (99.2, 99.6)),
        ([99.23, 99.61], (99.2, 99.7)),
        ([99.18, 99.4], (99.0, 99.6)),
        ([98.2, 99.4], (98, 99.6)),
        ([99.3, 100.0], (99.2, 100)),
        ([97.5], (97, 99.6)),
    ],
)
def test_the_axis_is_as_short_as_the_values_allow(values, ends):
    assert axis_range(values) == ends


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_the_axis_has_every_value_and_the_target(values):
    low, high = axis_range(values)
    assert low <= min(values)
    assert max(values) <= high
    assert low < TARGET < high
    with default_style():
        axes = laid_out(LIGHT, "name", [], 3.0).axes(1, 1, 0, 0)
        draw_accuracy_axis(axes, (low, high), LIGHT)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[-1] == "target\n99.40%"
    assert len(set(labels)) == len(labels) >= 3
    assert all(low - 1e-6 <= tick <= min(high, 100) + 1e-6 for tick in axes.get_yticks())


@pytest.mark.parametrize(("epochs", "shown"), [(1, 1), (2, 2), (4, 2), (8, 2), (12, 4), (19, 6)])
def test_the_last_third_is_shown(epochs, shown):
    curve = list(range(epochs))
    assert list(shown_epochs(curve)) == curve[-shown:]


def test_values_below_the_axis_by_epoch():
    means = {"training": [96.0, 98.5, 99.3], "validation": [98.0, 99.25, 99.4], "teacher": [99.5, 99.5, 99.5]}
    assert below_axis(means, 99.2) == {"training": {1: 96.0, 2: 98.5}, "validation": {1: 98.0}}
