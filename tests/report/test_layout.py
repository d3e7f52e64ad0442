import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn import assert_readable, texts_of
from under20k.report.figures import LIGHT, TEXT_PT, WIDTH_IN, default_style, new_figure
from under20k.report.fonts import drawable
from under20k.report.layout import axes_in, filled_lines, fitted, laid_out, size_in


def test_axes_have_the_size_that_is_left():
    with default_style():
        layout = laid_out(LIGHT, "minimal+epochs=2", ["a fact", "another"], 3.0, ["a note"])
        axes = layout.axes(1.0, 0.5, 0.25, 0.75)
    assert axes_in(axes) == (pytest.approx(WIDTH_IN - 1.5), pytest.approx(2.0))


def test_the_header_has_name_settings_and_facts_the_footer_the_notes():
    with default_style():
        figure = laid_out(
            LIGHT, "minimal+epochs=2+momentum=0.5", ["a fact"], 1.0, ["a note", "one more"]
        ).figure
    assert texts_of(figure) == ["minimal", "epochs=2  momentum=0.5", "a fact", "one more", "a note"]
    heights = {text.get_text(): text.get_position()[1] for text in figure.texts}
    order = ["minimal", "epochs=2  momentum=0.5", "a fact", "a note", "one more"]
    assert [heights[text] for text in order] == sorted(heights.values(), reverse=True)


@given(
    st.text(max_size=250).filter(str.strip),
    st.lists(st.text(min_size=1, max_size=60), max_size=3),
)
@settings(max_examples=20)
def test_any_text_stays_within_the_figure(name, notes):
    with default_style(LIGHT, name):
        figure = laid_out(LIGHT, name, [], 0.5, list(map(drawable, notes))).figure
    assert_readable(figure)


def test_a_text_that_is_too_wide_loses_its_middle():
    with default_style():
        figure = new_figure(WIDTH_IN, 1)
        text = "start-" + "x" * 300 + "-end"
        shown = fitted(figure, text, 2.0, TEXT_PT)
        assert 1.8 < size_in(figure, shown, TEXT_PT)[0] <= 2.0
        assert shown.startswith("start-")
        assert shown.endswith("-end")
        assert fitted(figure, "short", 2.0, TEXT_PT) == "short"
    assert figure.texts == []


def test_items_are_wrapped_whole_and_those_without_room_counted():
    with default_style():
        figure = new_figure(WIDTH_IN, 1)
        items = [f"setting_{number}=0.5" for number in range(30)]
        lines = filled_lines(figure, items, 4.0, TEXT_PT, lines=3, between="  ")
        assert all(size_in(figure, line, TEXT_PT)[0] <= 4.0 for line in lines)
    shown = "  ".join(lines)
    *whole, more = shown.split("  ")
    assert 3 <= len(whole) < 30
    assert whole == items[: len(whole)]
    assert more == f"… and {30 - len(whole)} more"


def test_few_items_take_one_line():
    with default_style():
        figure = new_figure(WIDTH_IN, 1)
        assert filled_lines(figure, ["a=1", "b=2"], 4.0, TEXT_PT, lines=3, between="  ") == ["a=1  b=2"]
        assert filled_lines(figure, [], 4.0, TEXT_PT, lines=3) == []
