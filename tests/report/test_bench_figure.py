"""The picture of a bench: readable and small with one seed or thirty, whatever their accuracies."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.test_curves import NAMES
from tests.support.benches import around, bench_of
from tests.support.drawn import assert_readable, boxes, struck, texts_of
from under20k.recipe.named import MINIMAL
from under20k.report.bench_figure import DOT_PT, DRAWN, evenly, seeds_figure, swarm
from under20k.report.figures import DARK, FINE, LIGHT, PICTURE_BYTES, themed

BENCHES = {
    "one seed": [0.9941],
    "two": [0.9938, 0.9943],
    "two equal": [0.9940, 0.9940],
    "ten": around(0.9942, 10),
    "thirty": around(0.9945, 30),
    "thirty equal": [0.9944] * 30,
    "chance": [0.1, 0.1135, 0.0958],
    "nothing": [0.0, 0.0],
    "perfect": [1.0, 1.0, 0.9999],
    "an outlier": [*around(0.9945, 9), 0.9012],
    "three outliers": [*around(0.9945, 9), 0.9012, 0.3, 0.98],
}

LONG = MINIMAL.with_changes(epochs=19)  # of which the last third is above 99.2%


@pytest.mark.parametrize("name", BENCHES)
def test_any_accuracies_are_readable(name):
    figure = seeds_figure(bench_of(BENCHES[name]), "small")
    assert_readable(figure)
    for text, box in boxes(figure):
        assert not struck(figure, box), f"a line goes through {text.get_text()!r}"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_readable(name):
    assert_readable(seeds_figure(bench_of(around(0.9945, 3), MINIMAL), NAMES[name]))


@pytest.mark.parametrize("epochs", [1, 3, 19, 30])
def test_any_number_of_epochs_is_readable(epochs):
    assert_readable(seeds_figure(bench_of(around(0.9945, 3), MINIMAL.with_changes(epochs=epochs)), "small"))


def test_thirty_seeds_of_twenty_epochs_are_small():
    bench = bench_of([0.9931 + seed / 20_000 for seed in range(30)], MINIMAL.with_changes(epochs=20))
    for made in themed(lambda theme: seeds_figure(bench, NAMES["changed"], theme)):
        assert len(made) <= PICTURE_BYTES


def test_the_themes_differ_only_in_colour():
    figures = [seeds_figure(bench_of(around(0.9945, 10)), "small", theme) for theme in (LIGHT, DARK)]
    light, dark = ([(text.get_text(), box.bounds) for text, box in boxes(figure)] for figure in figures)
    assert light == dark


def test_the_axis_is_about_the_target_whatever_an_outlier_has():
    figure = seeds_figure(bench_of(BENCHES["an outlier"], LONG), "long")
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert low == 99.2
        assert high <= 100
    assert "seeds\n▼ 90.12%" in texts_of(figure)
    figure = seeds_figure(bench_of(BENCHES["three outliers"], LONG), "long")
    assert "seeds\n▼ 3 below\n30.00% …" in texts_of(figure)


def test_an_interval_beyond_the_axis_ends_in_arrows():
    right = seeds_figure(bench_of([0.9935, 0.9945], LONG), "long").axes[1]
    assert {"^", "v"} <= {line.get_marker() for line in right.lines}
    right = seeds_figure(bench_of(around(0.9945, 10)), "small").axes[1]
    assert not {"^", "v"} & {line.get_marker() for line in right.lines}


@given(st.lists(st.integers(0, 40), max_size=60), st.floats(30, 120))
def test_no_dot_of_a_swarm_covers_another(steps, room):
    heights = sorted(2.5 * step for step in steps)
    places, size = swarm(heights, room)
    assert size <= DOT_PT
    assert len(places) == len(heights)
    assert all(0 <= place <= room for place in places) or size < 0.5
    dots = list(zip(places, heights, strict=True))
    for index, one in enumerate(dots):
        for other in dots[:index]:
            assert math.dist(one, other) >= size - 1e-6


def test_of_thousands_of_seeds_a_sample_is_drawn_and_said():
    accuracies = [0.9930 + (seed % 23) / 10_000 for seed in range(2_001)]
    figure = seeds_figure(bench_of(accuracies), "small")
    assert_readable(figure)
    left, right = figure.axes
    assert sum(line.get_linewidth() == FINE for line in left.lines) == DRAWN
    dots = [line.get_ydata()[0] for line in right.lines if line.get_marker() == "o"]
    assert len(dots) == DRAWN
    assert (min(dots), max(dots)) == pytest.approx((99.30, 99.52))
    assert left.get_title("left") == f"{DRAWN} of 2,001 seeds (thin), mean of all (bold)"
    assert right.get_title("left") == f"last epoch, the same {DRAWN}"
    assert list(left.lines[-1].get_ydata())[-1] == pytest.approx(100 * sum(accuracies) / 2_001)


def test_an_even_sample_has_both_ends():
    assert list(evenly(range(DRAWN))) == list(range(DRAWN))
    sample = list(evenly(range(10 * DRAWN)))
    assert (len(set(sample)), sample[0], sample[-1]) == (DRAWN, 0, 10 * DRAWN - 1)
    assert {after - before for before, after in pairwise(sample)} <= {10, 11}
