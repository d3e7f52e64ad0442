"""Statistics against hand-computed cases, formulas, enumeration, and simulation of the error rates.

The simulations draw what a bench draws: accuracies of 10,000 images, over seeds. Their generators are
seeded, so each gives the same count every time; a right count falls within the bounds in all but about one
case of 10,000.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import stats

from under20k.runs.bench.significance import (
    Difference,
    confidence_interval,
    exceeds_p,
    prediction_interval,
    seeds_needed,
    share_interval,
    sign_flip_p,
)
from under20k.runs.bench.statistics import Sample

IMAGES = 10_000
TIMES = 4000


def accuracies(rng: np.random.Generator, mean: float, sd: float, n: int) -> list[float]:
    """As of ``n`` seeds: whole numbers of the validation images."""
    return [float(count) / IMAGES for count in np.round(rng.normal(mean, sd, n) * IMAGES)]


def happens_as_often(rate: float, event: Callable[[np.random.Generator], bool], seed: int = 0) -> bool:
    """Whether an event, drawn so many times, is as frequent as stated, within four standard errors."""
    rng = np.random.default_rng(seed)
    count = sum(event(rng) for _ in range(TIMES))
    return abs(count / TIMES - rate) <= 4 * math.sqrt(rate * (1 - rate) / TIMES)


# By hand.


def test_the_interval_of_a_mean_by_hand():
    # 99.30, 99.40, 99.50: sd 0.1 points, standard error 0.1/√3; t(0.975, 2) = 4.3027.
    low, high = confidence_interval(Sample.of([0.993, 0.994, 0.995]))
    assert (low, high) == pytest.approx(
        (0.994 - 4.302653 * 0.001 / 3**0.5, 0.994 + 4.302653 * 0.001 / 3**0.5)
    )
    low, high = prediction_interval(Sample.of([0.993, 0.994, 0.995]), 0.95)
    assert high - 0.994 == pytest.approx(4.302653 * 0.001 * (4 / 3) ** 0.5)
    assert 0.994 - low == pytest.approx(high - 0.994)


def test_intervals_of_accuracies_stay_within_0_and_1():
    near_one, near_zero = Sample.of([0.9999, 0.98, 1.0]), Sample.of([0.0, 0.0, 0.3])
    assert confidence_interval(near_one)[1] == 1.0
    # Its lower end: 0.99330 − t(0.9995, 2) · 0.011519 · √(4/3), with t = 31.599.
    assert prediction_interval(near_one, 0.999) == (pytest.approx(0.5730, abs=2e-4), 1.0)
    assert confidence_interval(near_zero)[0] == 0.0
    assert confidence_interval(near_zero)[1] < 1.0
    # Of a difference, within −1 and 1.
    assert Difference.of([1.0, 0.0, 1.0], [0.0, 0.0, 0.0]).interval == (pytest.approx(-0.768, abs=1e-3), 1.0)


def test_a_single_value_gives_no_interval():
    one = Sample.of([0.9950])
    assert confidence_interval(one) is None
    assert prediction_interval(one, 0.9) is None
    assert exceeds_p(one, 0.994) is None
    difference = Difference.of([0.9950], [0.9940])
    assert (difference.interval, difference.t_test_p, difference.sign_flip_p) == (None, None, 1.0)


def test_the_p_value_by_hand():
    # t = 0.1 / (0.1 / √3) = √3, and with two degrees of freedom p = (1 − t / √(t² + 2)) / 2.
    p = exceeds_p(Sample.of([0.994, 0.995, 0.996]), 0.994)
    assert p == pytest.approx((1 - 3**0.5 / 5**0.5) / 2)
    assert exceeds_p(Sample.of([0.992, 0.993, 0.994]), 0.994) == pytest.approx(1 - p)


def test_p_values_of_identical_values():
    assert exceeds_p(Sample.of([0.995] * 3), 0.994) == 0.0
    assert exceeds_p(Sample.of([0.994] * 3), 0.994) == 1.0
    assert Difference.of([0.995] * 3, [0.994] * 3).t_test_p == pytest.approx(0.0, abs=1e-20)
    assert Difference.of([0.995] * 3, [0.995] * 3).t_test_p == 1.0


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        # (k + z²/2 ± z √(k(n − k)/n + z²/4)) / (n + z²) with z² = 3.8415.
        (6, 12, 0.2538, 0.7462),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (28, 30, 0.7868, 0.9815),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilsons_interval_by_hand(count, n, low, high):
    assert share_interval(count, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilsons_interval_against_its_formula():
    z2 = stats.norm.ppf(0.95) ** 2
    for n in (1, 7, 30):
        for count in range(n + 1):
            middle = (count + z2 / 2) / (n + z2)
            half = math.sqrt(z2 * (count * (n - count) / n + z2 / 4)) / (n + z2)
            expected = pytest.approx((middle - half, middle + half), abs=1e-12)
            assert share_interval(count, n, 0.9) == expected
            assert 0 <= share_interval(count, n)[0] < share_interval(count, n)[1] <= 1


@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_invalid_counts_are_refused(count, n):
    with pytest.raises(ValueError, match="not a fraction"):
        share_interval(count, n)


# Against formulas and enumeration.


def test_tests_of_means_against_their_formulas():
    rng = np.random.default_rng(3)
    for n in (2, 5, 30):
        ours, theirs = accuracies(rng, 0.9945, 0.0005, n), accuracies(rng, 0.994, 0.0006, n)
        t = (np.mean(ours) - 0.994) / (np.std(ours, ddof=1) / math.sqrt(n))
        assert exceeds_p(Sample.of(ours), 0.994) == pytest.approx(stats.t.sf(t, n - 1), rel=1e-6)
        differences = np.subtract(ours, theirs)
        error = np.std(differences, ddof=1) / math.sqrt(n)
        difference = Difference.of(ours, theirs)
        expected = 2 * stats.t.sf(abs(differences.mean()) / error, n - 1)
        assert difference.t_test_p == pytest.approx(expected, rel=1e-6)
        half = stats.t.ppf(0.975, n - 1) * error
        assert difference.interval == pytest.approx((differences.mean() - half, differences.mean() + half))


def every_way(differences: list[int]) -> Iterator[int]:
    """The sums of all ways to set their signs."""
    for signs in itertools.product((-1, 1), repeat=len(differences)):
        yield sum(sign * difference for sign, difference in zip(signs, differences, strict=True))


@pytest.mark.parametrize(
    "differences", [[3], [0], [0, 0, 2], [5, -1, 4, 4], [1] * 10, [7, 2, -9, 4, 4, 0, 12, -3]]
)
def test_sign_flips_against_enumeration(differences):
    ways = list(every_way(differences))
    expected = sum(abs(way) >= abs(sum(differences)) for way in ways) / len(ways)
    assert sign_flip_p(differences) == pytest.approx(expected, abs=1e-12)


def test_ten_pairs_of_one_sign_by_hand():
    assert sign_flip_p([4, 9, 1, 3, 3, 8, 2, 5, 6, 1]) == pytest.approx(2 / 2**10)


def test_very_many_pairs_agree_with_the_exact_test(monkeypatch):
    differences = [int(value) for value in np.random.default_rng(1).normal(1, 40, 1500)]
    exact = sign_flip_p(differences)
    monkeypatch.setattr("under20k.runs.bench.significance.EXACT_PAIRS", 1000)
    assert sign_flip_p(differences) == pytest.approx(exact, rel=0.01)
    assert sign_flip_p([0] * 1500) == 1.0


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="2 accuracies against 1"):
        Difference.of([0.99, 0.98], [0.99])


@pytest.mark.parametrize(("effect", "needed"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_needed_against_published_tables(effect, needed):
    """Cohen's effects at 5%, two-sided, and a power of 80%: what every table of the paired t-test gives."""
    assert seeds_needed(effect * 0.0004, 0.0004) == needed


def test_seeds_needed_at_the_ends():
    assert seeds_needed(0.0, 0.0004) is None
    assert seeds_needed(0.0002, 0.0) == 2
    assert seeds_needed(-0.0002, 0.0004) == seeds_needed(0.0002, 0.0004)
    # Beyond what the t-distribution is asked for: (1.95996 + 0.84162)² / effect².
    assert seeds_needed(0.00001, 0.0004) == math.ceil((1.959964 + 0.841621) ** 2 * 40**2)


# By simulation.


@pytest.mark.slow
@pytest.mark.parametrize(("n", "level"), [(5, 0.05), (20, 0.01), (30, 0.05)])
def test_error_rate_of_the_claim(n, level):
    """A recipe exactly at the target passes for better at the stated rate."""
    assert happens_as_often(
        level, lambda rng: exceeds_p(Sample.of(accuracies(rng, 0.994, 0.0005, n)), 0.994) < level
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 20])
def test_coverage_of_the_confidence_interval(n):
    def inside(rng: np.random.Generator) -> bool:
        low, high = confidence_interval(Sample.of(accuracies(rng, 0.994, 0.0005, n)))
        return low <= 0.994 <= high

    assert happens_as_often(0.95, inside)


def test_coverage_of_the_prediction_interval():
    def inside(rng: np.random.Generator) -> bool:
        *seeds, one_more = accuracies(rng, 0.994, 0.0005, 21)
        low, high = prediction_interval(Sample.of(seeds), 0.9)
        return low <= one_more <= high

    assert happens_as_often(0.9, inside)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_coverage_of_wilsons_interval(share):
    """By the binomial distribution, summed: a nominal 95% is near it at 30 seeds (Brown et al. 2001)."""
    held = sum(
        stats.binom.pmf(count, 30, share)
        for count in range(31)
        if share_interval(count, 30)[0] <= share <= share_interval(count, 30)[1]
    )
    assert 0.90 < held < 0.985
    naive = sum(
        stats.binom.pmf(count, 30, share)
        for count in range(31)
        if abs(count / 30 - share) <= 1.96 * math.sqrt(count / 30 * (1 - count / 30) / 30)
    )
    assert held >= naive
    assert share == 0.5 or naive < 0.82  # what mean ± error would promise and not hold


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 20])
def test_error_rate_of_the_paired_t_test(n):
    def seen(rng: np.random.Generator) -> bool:
        shared = rng.normal(0, 0.0003, n)  # what a seed does to both
        ours, theirs = (
            [
                round((0.994 + common + own) * IMAGES) / IMAGES
                for common, own in zip(shared, rng.normal(0, 0.0004, n), strict=True)
            ]
            for _ in range(2)
        )
        return Difference.of(ours, theirs).t_test_p < 0.05

    assert happens_as_often(0.05, seen)


def test_error_rate_of_the_sign_flip_test():
    """Also where the differences are anything but normal."""
    rng = np.random.default_rng(7)
    wrong = sum(
        sign_flip_p([int(value) for value in np.round(30 * rng.standard_t(2, 12))]) < 0.05
        for _ in range(TIMES)
    )
    assert 0.03 <= wrong / TIMES <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / TIMES)


@pytest.mark.parametrize("difference", [0.0003, 0.0005])
def test_power_at_the_seeds_needed(difference):
    sd = 0.0006
    n = seeds_needed(difference, sd)

    def seen(rng: np.random.Generator) -> bool:
        sample = Sample.of(list(rng.normal(difference, sd, n)))
        return abs(sample.mean / sample.standard_error) > stats.t.isf(0.025, n - 1)

    assert happens_as_often(stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, difference / sd * n**0.5), seen)
    assert seeds_needed(difference, sd, power=0.799) <= n
    assert 0.8 <= float(stats.nct.sf(stats.t.isf(0.025, n - 1), n - 1, difference / sd * n**0.5)) < 0.84
