"""The picture of a leaderboard: every entry named, nothing covered, with one entry or many."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.report.test_curves import NAMES
from tests.support import ROOT
from tests.support.benches import around, bench_of
from tests.support.drawn import assert_readable, boxes, struck, texts_of
from under20k.recipe.named import MINIMAL
from under20k.report.anchors import ANCHORS
from under20k.report.figures import DARK, LIGHT, PICTURE_BYTES, themed
from under20k.report.leaderboard_figure import LABELLED, leaderboard_figure
from under20k.runs.leaderboard import Entry, compare

RECORDS = sorted(path.parent for path in (ROOT / "records").glob("*/*/record.json"))
BENCHES = sorted(path.parent for path in (ROOT / "results").glob("*/*/bench.json"))


def entry(name: str, parameters: int, mean: float, seeds: int = 10, folder: str = "benches") -> Entry:
    bench = bench_of(around(mean, seeds) if seeds > 1 else [mean], MINIMAL)
    return Entry(name, "bench", f"{folder}/{name[:9]}", parameters, 1, 8, bench.statistics, None)


@cache
def records() -> list[Entry]:
    return compare(RECORDS)


def crowd(count: int) -> list[Entry]:
    """The records and benches of the repository, and more beside them, to so many."""
    found = compare([*RECORDS, *BENCHES])
    more = [
        entry(f"{each.name}+epochs={number + 7}", each.parameters + 90 * number, each.validation.mean)
        for number, each in enumerate(found)
    ]
    return [*found, *more][:count]


def assert_clear(figure) -> None:
    """Every text is readable, and no line or marker of the figure goes through one."""
    assert_readable(figure)
    for text, box in boxes(figure):
        lines = struck(figure, box)
        assert not lines, f"{lines} goes through {text.get_text()!r}"


BOARDS = {
    "one": [entry("minimal", 14_116, 0.9932)],
    "one run": [entry("minimal, seed 3", 14_116, 0.9932, seeds=1)],
    "two at the same point": [entry("minimal", 14_116, 0.9942), entry("other", 14_116, 0.9942)],
    "eight at the same point": [entry("minimal", 14_116, 0.9942, folder=f"{n}") for n in range(8)],
    "an outlier": [
        *(entry(f"recipe-{n}", 9_000 + 999 * n, 0.994) for n in range(5)),
        entry("bad", 400, 0.95),
    ],
    "at chance": [entry("nothing", 14_116, 0.1), entry("nothing else", 5_000, 0.11)],
    "perfect": [entry("perfect", 14_116, 0.9997), entry("tiny", 5, 0.9997)],
}


@pytest.mark.parametrize("name", BOARDS)
def test_any_board_is_clear(name):
    figure = leaderboard_figure(BOARDS[name])
    assert_clear(figure)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_clear(name):
    entries = [entry(NAMES[name], 14_116, 0.9942), entry(NAMES[name], 14_200, 0.9943), entry("a", 5, 0.99)]
    assert_clear(leaderboard_figure(entries))


@pytest.mark.parametrize(
    "count", [6, 19, pytest.param(26, marks=pytest.mark.slow), pytest.param(38, marks=pytest.mark.slow)]
)
def test_the_records_and_many_benches_are_clear_small_and_named(count):
    entries = records() if count == 6 else crowd(count)
    figure = leaderboard_figure(entries)
    assert_clear(figure)
    shown = "\n".join(texts_of(figure)).replace("\N{NO-BREAK SPACE}", " ")
    assert all(each.name.split("+")[0] in shown for each in entries[:LABELLED])
    assert len({text.get_position() for text in figure.axes[0].texts}) == len(figure.axes[0].texts)
    for made in themed(lambda theme: leaderboard_figure(entries, theme=theme)):
        assert len(made) <= PICTURE_BYTES


def test_each_number_stands_at_a_point_and_in_the_key():
    figure = leaderboard_figure(crowd(19))
    numbers = [text.get_text() for text in figure.axes[0].texts if text.get_text().isdigit()]
    key = "    ".join(text.get_text() for text in figure.texts)
    assert numbers
    assert sorted(map(int, numbers)) == list(range(1, len(numbers) + 1))
    assert all(f"{number}\N{NO-BREAK SPACE}" in key for number in numbers)


def test_the_six_records_need_no_key():
    texts = {text.get_text() for text in leaderboard_figure(records()).axes[0].texts}
    assert {"regularized-plus", "shared-weights", "eight-convolutions", "four-epochs", "minimal"} <= texts
    assert not any(text.isdigit() for text in texts)


def test_public_figures_are_named():
    texts = "\n".join(texts_of(leaderboard_figure(records())))
    assert all(anchor.name in texts for anchor in ANCHORS)
    assert "Below the axis: JoshWarn (697 parameters, 99.03%)" in texts


def test_the_axis_is_about_the_target():
    low, high = leaderboard_figure(records()).axes[0].get_ylim()
    assert (low, high) == (99.2, 99.7)


def test_an_outlier_is_marked_at_the_axis_with_its_accuracy():
    figure = leaderboard_figure(BOARDS["an outlier"])
    assert figure.axes[0].get_ylim()[0] == 99.2
    assert "bad 95.00%" in texts_of(figure)
    assert any(line.get_marker() == "v" and list(line.get_xdata()) == [400] for line in figure.axes[0].lines)


def test_the_themes_differ_only_in_colour():
    entries = records()
    figures = [leaderboard_figure(entries, theme=theme) for theme in (LIGHT, DARK)]
    light, dark = ([(text.get_text(), box.bounds) for text, box in boxes(figure)] for figure in figures)
    assert light == dark


def test_entries_beyond_the_limit_are_counted(tmp_path: Path):
    entries = [entry(f"recipe-{n}", 1_000 * (n + 1), 0.9941) for n in range(LABELLED + 2)]
    texts = "\n".join(texts_of(leaderboard_figure(entries, anchors=())))
    assert f"Only the first {LABELLED} of {LABELLED + 2} are named." in texts
    assert f"recipe-{LABELLED}" not in texts


def test_the_key_explains_only_the_numbers_that_are_drawn():
    figure = leaderboard_figure([entry(f"recipe-{n:02}", 14_116, 0.9942) for n in range(30)])
    assert_clear(figure)
    numbers = [text.get_text() for text in figure.axes[0].texts if text.get_text().isdigit()]
    below = " ".join(text.get_text() for text in reversed(figure.texts))
    key, _, unplaced = below.partition("No room to label: ")
    assert numbers
    assert re.findall(r"(\d+)\N{NO-BREAK SPACE}", key) == sorted(numbers, key=int)
    names = {text.get_text() for text in figure.axes[0].texts} | set(re.findall(r"recipe-\d\d", key))
    missing = set(re.findall(r"recipe-\d\d", unplaced))
    assert missing
    assert missing == {f"recipe-{n:02}" for n in range(30)} - names
