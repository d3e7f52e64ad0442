"""Badges: what they say of a bench, and that they are SVG whatever its name."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.support.benches import around, bench_of
from under20k.report.badge import BLUE, GREEN, GREY, bench_badge
from under20k.runs.bench.bench import Bench

SVG = "{http://www.w3.org/2000/svg}"
BENCH = bench_of(around(0.9945, 10))


def read(bench: Bench) -> tuple[str, str, str]:
    """The badge's text, its colour, and what a pointer shows."""
    root = ElementTree.fromstring(bench_badge(bench))
    label, text = root.iter(f"{SVG}text")
    assert label.text == "under20k"
    _, _, right = root.iter(f"{SVG}rect")
    (title,) = root.iter(f"{SVG}title")
    return text.text, right.get("fill"), title.text


def test_it_says_the_mean_the_seeds_and_the_size():
    text, colour, title = read(BENCH)
    assert text == f"{BENCH.summary.last} over 10 seeds, {BENCH.recipe.architecture.parameters:,} parameters"
    assert text.startswith("99.450 ± ")
    assert colour == GREEN
    assert title.startswith(f"{BENCH.recipe.name}: 99.450 ± ")
    assert "validation accuracy at the last of" in title
    assert "mean ± sd over 10 seeds" in title


@pytest.mark.parametrize(("mean", "colour"), [(0.994, GREEN), (0.9939, BLUE)])
def test_green_is_for_a_mean_at_the_target(mean, colour):
    assert read(bench_of(around(mean, 4)))[1] == colour


def test_what_proves_nothing_is_grey_and_says_why():
    one = replace(BENCH, seeds=BENCH.seeds[:1])
    picked = replace(BENCH, seeds=(BENCH.seeds[1], *BENCH.seeds[3:5]))
    assert " with one seed (0), " in read(one)[0]
    assert " over seeds 1, 3–4, " in read(picked)[0]
    assert read(one)[1] == read(picked)[1] == GREY


def test_failed_seeds_are_counted():
    assert " over 10 seeds, 2 failed, " in read(replace(BENCH, failures=("a", "b")))[0]


def test_any_name_is_written_as_text():
    named = replace(BENCH, recipe=replace(BENCH.recipe, name='<a href="&">\x1b[31m'))
    assert read(named)[2].startswith('<a href="&">\\x1b[31m: ')
