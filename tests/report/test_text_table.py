"""Tables at every width: nothing wider than the terminal, nothing lost that is not named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.test_text_lines import width_of
from under20k.report.tables import Table

LETTERS = "abcxyz019王あ\u0301"
WORD = st.text(st.sampled_from(LETTERS), min_size=1, max_size=14).filter(lambda word: word[0] != "\u0301")
CELL = st.lists(WORD, min_size=1, max_size=6).map(" ".join)
NUMBER = st.integers(0, 10**9).map("{:,}".format)
WIDTHS = st.integers(40, 200)


@st.composite
def tables(draw) -> Table:
    """Any table: text at the left, figures at the right, some columns optional or in groups."""
    titles = draw(st.lists(CELL, min_size=1, max_size=9, unique=True))
    align = "".join(draw(st.lists(st.sampled_from("lr"), min_size=len(titles), max_size=len(titles))))
    row = st.tuples(*(CELL if side == "l" else NUMBER for side in align))
    rows = draw(st.lists(row, min_size=1, max_size=4))
    optional, groups = [], ()
    if draw(st.booleans()):
        optional = draw(st.lists(st.sampled_from(titles[1:]), unique=True)) if titles[1:] else []
    elif draw(st.booleans()):
        groups = (1,) * (len(titles) - 1)
    caption, notes = draw(CELL), tuple(draw(st.lists(CELL, max_size=2)))
    return Table(tuple(titles), tuple(rows), caption, align, notes, optional=tuple(optional), groups=groups)


def words_of(text: str) -> set[str]:
    return set(re.sub(r"[─:]", " ", text).split())


@given(tables(), WIDTHS)
def test_no_line_is_wider_than_the_terminal(table, width):
    assert max(map(width_of, table.text(width).splitlines())) <= width


@given(tables(), WIDTHS)
def test_every_word_is_whole_and_what_is_hidden_is_named(table, width):
    text = table.text(width)
    whole, _, hidden = text.partition("hidden at this width: ")
    dropped = [title for title in table.optional if title in " ".join(hidden.split())] if hidden else []
    assert bool(hidden) == bool(dropped)
    shown = words_of(whole)
    for at, title in enumerate(table.header):
        if title not in dropped:
            cells = [row[at] for row in table.rows]
            cells += [title] if at or "─" in text else []  # blocks of lines need no heading of their names
            assert set().union(*map(words_of, cells)) <= shown
    assert words_of(f"{table.caption} {' '.join(table.notes)}") <= shown


@given(tables())
def test_a_pipe_gets_every_row_on_one_line(table):
    lines = table.text().splitlines()
    for row in table.rows:
        assert any(line.split() == " ".join(row).split() for line in lines)
    assert "hidden at this width" not in table.text()
    assert table.text() == table.text(10_000)


def test_headings_wrap_before_cells_and_cells_before_a_column_is_hidden():
    table = Table(
        ("Name", "Validation accuracy", "Remark", "MACs"),
        (("one", "99.40%", "as good as the best of all of them", "1,234,567"),),
        align="lrlr",
        optional=("MACs",),
    )
    assert table.text(70).splitlines()[:2] == [
        "      Validation",
        "Name    accuracy  Remark                                   MACs",
    ]
    assert table.text(50).splitlines() == [
        "      Validation",
        "Name    accuracy  Remark                    MACs",
        "────  ──────────  ───────────────────  ─────────",
        "one       99.40%  as good as the best  1,234,567",
        "                  of all of them",
    ]
    assert table.text(40).splitlines() == [
        "      Validation",
        "Name    accuracy  Remark",
        "────  ──────────  ──────────────────────",
        "one       99.40%  as good as the best of",
        "                  all of them",
        "────  ──────────  ──────────────────────",
        "hidden at this width: MACs; widen the",
        "  terminal, pipe the output or use",
        "  --json",
    ]


def test_a_matrix_is_split_evenly_between_its_groups():
    table = Table(("Measure", *"abcdef"), (("of it", *["1,234,567"] * 6),), groups=(2, 2, 2), notes=("end",))
    assert table.text(60).splitlines() == [
        "Measure          a          b          c          d",
        "───────  ─────────  ─────────  ─────────  ─────────",
        "of it    1,234,567  1,234,567  1,234,567  1,234,567",
        "",
        "Measure          e          f",
        "───────  ─────────  ─────────",
        "of it    1,234,567  1,234,567",
        "",
        "end",
    ]


def test_rows_become_blocks_where_every_column_matters():
    table = Table(("Who", *("A heading", "Another one", "A third one")), (("alice", *["9" * 12] * 3),))
    assert table.text(40).splitlines() == [
        "alice",
        "  A heading: 999999999999",
        "  Another one: 999999999999",
        "  A third one: 999999999999",
    ]


def test_names_are_shortened_on_a_terminal_alone():
    name = "minimal+epochs=1+batch_size=1024+learning_rate=0.3"
    table = Table(("Name", "Parameters"), ((name, "14,116"),), shortens=("Name",))
    assert name in table.text()
    assert table.text(45).splitlines()[2] == "minimal+epochs=1+batc…ng_rate=0.3      14,116"


@pytest.mark.parametrize("field", ["optional", "shortens"])
def test_a_column_that_is_not_there_is_refused(field):
    with pytest.raises(ValueError, match="no column is called c"):
        Table(("a", "b"), (), **{field: ("c",)})


def test_groups_of_too_many_columns_are_refused():
    with pytest.raises(ValueError, match="columns after the first of 3"):
        Table(("a", "b", "c"), (), groups=(1,))
