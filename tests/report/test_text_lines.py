"""Lines for a terminal: columns as ``unicodedata`` knows them, and what wrapping keeps."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.formatting import columns, shortened
from under20k.report.text_lines import padded, pieces, wrapped

WORD = st.text(st.sampled_from("ab9王あ\u0301é€"), min_size=1, max_size=30).filter(
    lambda word: word[0] != "\u0301"
)


def width_of(text: str) -> int:
    """Two columns for a wide character, none for a combining one: independent of ``wcwidth``."""
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


@given(st.lists(WORD, max_size=8).map(" ".join))
def test_columns_are_those_of_the_terminal(text):
    assert columns(text) == width_of(text)


@given(st.lists(WORD, min_size=1, max_size=12), st.integers(10, 60), st.sampled_from(["", "  "]))
def test_wrapped_lines_fit_and_keep_every_word_that_fits(words, width, indent):
    lines = wrapped(" ".join(words), width, indent)
    assert max(map(width_of, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(words)
    shown = " ".join(lines).split()
    for word in words:
        if width_of(indent + word) <= width:
            assert word in shown


def test_a_line_that_fits_keeps_its_spaces():
    assert wrapped("epoch  1/8   lr 0.1", 19) == ["epoch  1/8   lr 0.1"]
    assert wrapped("name      one two", 14) == ["name      one", "two"]
    assert wrapped("any  length", None) == ["any  length"]


def test_a_long_word_goes_on_after_a_separator():
    assert wrapped("see runs/minimal-0/report.md now", 12, "  ") == [
        "see runs/",
        "  minimal-0/",
        "  report.md",
        "  now",
    ]
    assert pieces("runs/minimal+epochs=1-0") == ["runs/", "minimal+", "epochs=", "1-", "0"]
    assert wrapped("0123456789abcdef", 10) == ["0123456789", "abcdef"]


@given(WORD, st.integers(0, 5), st.sampled_from("lr"))
def test_padding_counts_columns(text, more, side):
    shown = padded(text, width_of(text) + more, side)
    assert width_of(shown) == width_of(text) + more
    assert shown.endswith(text) if side == "r" else shown.startswith(text)


@pytest.mark.parametrize("text", ["minimal+epochs=1+batch_size=1024-0", "王小明" * 9, "short"])
@given(width=st.integers(8, 40))
def test_a_shortened_text_keeps_both_ends(text, width):
    shown = shortened(text, width)
    assert width_of(shown) <= width
    start, _, end = shown.partition("…")
    assert text.startswith(start)
    assert text.endswith(end)
    assert (shown == text) == (width_of(text) <= width)
    assert shortened(text, None) == text


def test_an_indentation_gives_way_to_a_first_word_that_fits_without_it():
    assert wrapped("   " + "x" * 59 + " b", 60) == [" " + "x" * 59, "b"]
    assert wrapped("   " + "x" * 60, 60) == ["x" * 60]
    assert wrapped("   " + "x" * 75, 60, "  ") == ["  " + "x" * 58, "  " + "x" * 17]


@pytest.mark.parametrize("text", ["王\x07小", "\x1bé"])
def test_a_control_character_takes_no_column_and_leaves_the_others_theirs(text):
    assert columns(text) == {"王\x07小": 4, "\x1bé": 1}[text]
