"""What ``bench --vs`` says first: the difference, and whether there is one."""

import re

import pytest

from tests.support.benches import bench_of
from under20k.report.bench import bench_text, difference_text

# Differences of 2 images and none, and of 11 to 14 images.
ALIKE = [0.9941, 0.9943, 0.9942, 0.9944]
BETTER = [0.9953, 0.9954, 0.9956, 0.9957]


@pytest.mark.parametrize(("ours", "shows"), [(BETTER, "a difference"), (ALIKE[::-1], "no difference shown")])
def test_the_difference_is_said_in_words(ours, shows):
    difference = bench_of(ours).versus(bench_of(ALIKE))
    text = difference_text(difference, "new", "old")
    mean = 100 * (sum(ours) - sum(ALIKE)) / len(ours)
    assert text.startswith(f"new minus old: {mean:+.3f} points (95% interval ")
    assert text.endswith(f": {shows}")


def test_one_pair_has_no_interval_and_says_so():
    difference = bench_of([0.9943]).versus(bench_of([0.9941]))
    text = difference_text(difference, "new", "old")
    assert text == "new minus old: +0.020 points, 1 pair of seeds: too few for an interval or a p-value"


def test_a_comparison_says_its_difference_first():
    first, second, *_ = bench_text(bench_of(BETTER), bench_of(ALIKE)).splitlines()
    assert first.startswith("small minus small: +0.125 points")
    assert re.match(r"small: ✓ 99\.550 ± \d\.\d{3} %", second)
