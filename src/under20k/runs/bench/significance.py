"""Intervals and tests over seeds: of a mean, of a claim, of paired differences; and the seeds needed.

Accuracies are fractions. Intervals and t-tests are SciPy's, imported where they are used because it loads
slowly. The sign-flip test and the seeds needed are our own: SciPy has no exact one and no power analysis.

A recipe's accuracies over seeds are taken as independent and roughly normal; each test's stated error rate
is checked by simulation in ``tests/runs/bench/test_significance.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from under20k.recipe.limits import VALIDATION_IMAGES
from under20k.runs.bench.statistics import ROUNDING, Sample

CONFIDENCE = 0.95
"""Confidence level of every printed interval."""
POWER = 0.8
"""Power with which the seeds needed detect a difference."""
SIGNIFICANCE = 0.05
"""Two-sided significance level of a difference that counts as detected."""
EXACT_SEEDS = 1000  # above this number of seeds the t-distribution is taken as normal
EXACT_PAIRS = 2000  # above this number of pairs the sum of flipped signs is taken as normal

Interval = tuple[float, float]


def confidence_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | None:
    """Return Student's interval for the mean of accuracies, within 0 and 1; None for a single value."""
    return None if sample.sd is None else _within(_mean_interval(sample, confidence), 0.0)


def prediction_interval(sample: Sample, confidence: float) -> Interval | None:
    """Return Student's interval for one more accuracy, within 0 and 1; None for a single value."""
    if sample.sd is None:
        return None
    if sample.sd == 0:
        return sample.mean, sample.mean
    from scipy import stats

    spread = sample.sd * math.sqrt(1 + 1 / sample.n)
    return _within(stats.t.interval(confidence, sample.n - 1, sample.mean, spread), 0.0)


def share_interval(count: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's interval for a fraction (Wilson 1927).

    Unlike mean ± error it stays within 0 and 1, and has a width where all or none were observed.

    Args:
        count: number of observed successes.
        n: number of trials.
        confidence: level of the interval.

    Raises:
        ValueError: unless 0 ≤ count ≤ n and n ≥ 1.
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"{count} of {n} is not a fraction")
    from scipy import stats

    low, high = stats.binomtest(count, n).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def exceeds_p(sample: Sample, threshold: float) -> float | None:
    """Return the p-value of Student's one-sided t-test (H₀: mean ≤ ``threshold``); None for a single value.

    For identical values it is 0 above the threshold, 1 at or below it.
    """
    if sample.sd is None:
        return None
    if sample.sd == 0:
        return 0.0 if sample.mean > threshold + ROUNDING else 1.0
    from scipy import stats

    return float(stats.ttest_1samp(sample.values, threshold, alternative="greater").pvalue)


@dataclass(frozen=True)
class Difference:
    """One recipe's accuracies minus another's, paired by seed. Fractions; the tests are two-sided."""

    sample: Sample
    interval: Interval | None
    """95% for the mean difference; None for a single pair."""
    t_test_p: float | None
    """p-value of Student's paired t-test (H₀: mean difference = 0); None for a single pair."""
    sign_flip_p: float
    """p-value of the sign-flip test, which assumes only that under H₀ both signs are equally likely."""

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Difference:
        """Compare accuracies in the same order of seeds. Raises ValueError for none or unequal numbers."""
        if len(ours) != len(theirs):
            raise ValueError(f"{len(ours)} accuracies against {len(theirs)}; they are paired by seed")
        # In whole images, so that equal differences are bit-exact.
        counts = [
            round(a * VALIDATION_IMAGES) - round(b * VALIDATION_IMAGES)
            for a, b in zip(ours, theirs, strict=True)
        ]
        sample = Sample.of([count / VALIDATION_IMAGES for count in counts])
        interval = None if sample.sd is None else _within(_mean_interval(sample, CONFIDENCE), -1.0)
        return cls(sample, interval, _two_sided_p(sample), sign_flip_p(counts))

    def to_dict(self, detectable: Sequence[float]) -> dict[str, Any]:
        """Return plain values for JSON, with the seeds needed to detect each difference in ``detectable``."""
        sd = self.sample.sd
        return {
            "n": self.sample.n,
            "mean": self.sample.mean,
            "sd": sd,
            "standard_error": self.sample.standard_error,
            "interval_95": None if self.interval is None else list(self.interval),
            "t_test_p": self.t_test_p,
            "sign_flip_p": self.sign_flip_p,
            "seeds_needed": [
                {"difference": size, "seeds": None if sd is None else seeds_needed(size, sd)}
                for size in detectable
            ],
        }


def sign_flip_p(differences: Sequence[int]) -> float:
    """Return the two-sided p-value of the sign-flip test (Fisher 1935; H₀: the signs are random).

    This is the fraction of all 2ⁿ assignments of signs whose sum is at least as far from 0 as the observed
    one. The differences are whole numbers, so the distribution of the sum is computed one difference at a
    time instead of enumerating the assignments; beyond ``EXACT_PAIRS`` differences it is taken as normal with
    the same variance.
    """
    import numpy as np

    sizes = [abs(difference) for difference in differences]
    if len(sizes) > EXACT_PAIRS and any(sizes):
        from scipy import stats

        return float(2 * stats.norm.sf(abs(sum(differences)) / math.hypot(*sizes)))
    fraction = np.zeros(2 * sum(sizes) + 1)  # fraction of the assignments with each sum; 0 is in the middle
    middle = sum(sizes)
    fraction[middle] = 1.0
    for size in filter(None, sizes):
        flipped = np.zeros_like(fraction)
        flipped[size:] += fraction[:-size] / 2
        flipped[:-size] += fraction[size:] / 2
        fraction = flipped
    distance = abs(sum(differences))
    sums = np.abs(np.arange(-middle, middle + 1))
    return min(1.0, float(fraction[sums >= distance].sum()))


def seeds_needed(
    difference: float, sd: float, *, significance: float = SIGNIFICANCE, power: float = POWER
) -> int | None:
    """Count the pairs of seeds that a two-sided t-test needs to detect a difference.

    Args:
        difference: the true mean difference.
        sd: standard deviation of the paired differences.
        significance: level of the test.
        power: probability of detecting the difference, by the noncentral t-distribution.

    Returns:
        The number of pairs, at least 2; None for a difference of 0.
    """
    if difference == 0:
        return None
    if sd == 0:
        return 2
    from scipy import stats

    effect = abs(difference) / sd
    normal = (float(stats.norm.isf(significance / 2)) + float(stats.norm.ppf(power))) / effect
    if normal**2 > EXACT_SEEDS:
        return math.ceil(normal**2)

    def reached(n: int) -> float:
        critical = stats.t.isf(significance / 2, n - 1)
        shift = effect * math.sqrt(n)
        # Where the shift is large, SciPy's lower tail is 0 or NaN; it is negligible there.
        lower = float(stats.nct.cdf(-critical, n - 1, shift))
        return float(stats.nct.sf(critical, n - 1, shift)) + (lower if lower > 0 else 0.0)

    n = max(2, math.floor(normal**2))
    while reached(n) < power:
        n += 1
    return n


def _mean_interval(sample: Sample, confidence: float) -> Interval:
    """Return Student's interval for the mean of at least two values."""
    if sample.sd == 0:
        return sample.mean, sample.mean
    from scipy import stats

    interval: Interval = stats.ttest_1samp(sample.values, 0.0).confidence_interval(confidence)
    return interval


def _within(interval: Interval, lowest: float) -> Interval:
    """Clip an interval to ``lowest`` and 1."""
    low, high = interval
    return max(lowest, float(low)), min(1.0, float(high))


def _two_sided_p(sample: Sample) -> float | None:
    """Return the p-value of Student's t-test (H₀: mean = 0); None for a single value."""
    if sample.sd is None:
        return None
    if sample.sd == 0:
        return 0.0 if sample.mean else 1.0
    from scipy import stats

    return float(stats.ttest_1samp(sample.values, 0.0).pvalue)
