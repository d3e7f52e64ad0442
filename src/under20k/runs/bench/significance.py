"""What a sample allows to be said: intervals, tests of a claim, paired differences, seeds needed.

Accuracies are fractions. SciPy is imported where it computes, for it takes a moment to load.

Over seeds, a recipe's accuracies are taken as independent draws, roughly normal; each test's stated error
rate is checked by simulation in ``tests/runs/bench/test_significance.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from under20k.recipe.limits import VALIDATION_IMAGES
from under20k.runs.bench.statistics import ROUNDING, Sample

CONFIDENCE = 0.95
"""Of every interval that is printed."""
POWER = 0.8
"""With which a difference is to be seen, where seeds needed for it are counted."""
SIGNIFICANCE = 0.05
"""Two-sided level of a difference that counts as seen."""
EXACT_SEEDS = 1000  # up to so many the t-distribution counts; beyond, it is the normal one
EXACT_PAIRS = 2000  # up to so many pairs the signs are flipped exactly; beyond, their sum is taken as normal

Interval = tuple[float, float]


def confidence_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | None:
    """Student's interval for the mean of accuracies, within 0 and 1; None for a single value."""
    return _around_mean(sample, sample.standard_error, confidence, 0.0)


def prediction_interval(sample: Sample, confidence: float) -> Interval | None:
    """Where one more accuracy falls, with so much confidence, within 0 and 1; None for a single value."""
    spread = None if sample.sd is None else sample.sd * math.sqrt(1 + 1 / sample.n)
    return _around_mean(sample, spread, confidence, 0.0)


def share_interval(count: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's interval for a share of which ``count`` of ``n`` were seen (Wilson 1927).

    Unlike mean ± error it stays within 0 and 1, and has a width where all or none were seen. Raises
    ValueError unless 0 ≤ count ≤ n and n ≥ 1.
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"{count} of {n} is no share")
    from scipy import stats

    z2 = float(stats.norm.isf((1 - confidence) / 2)) ** 2
    middle = (count + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (count * (n - count) / n + z2 / 4)) / (n + z2)
    # At the ends the two are the same number, but for rounding.
    return (0.0 if count == 0 else middle - half), (1.0 if count == n else middle + half)


def exceeds_p(sample: Sample, threshold: float) -> float | None:
    """One-sided p of Student's t-test that the mean exceeds ``threshold``; None for a single value.

    Values that are all the same leave no doubt: 0 above the threshold, 1 at or below it.
    """
    if sample.standard_error is None:
        return None
    if sample.standard_error == 0:
        return 0.0 if sample.mean > threshold + ROUNDING else 1.0
    from scipy import stats

    return float(stats.t.sf((sample.mean - threshold) / sample.standard_error, sample.n - 1))


@dataclass(frozen=True)
class Difference:
    """One recipe's accuracies minus another's, paired by seed. Fractions; the tests are two-sided."""

    sample: Sample
    interval: tuple[float, float] | None
    t_test_p: float | None
    """Of Student's paired t-test; None for a single pair."""
    sign_flip_p: float
    """Of the sign-flip test, which assumes only that without a difference either sign is as likely."""

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Difference:
        """Of accuracies in the same order of seeds. Raises ValueError for none, or for unequal numbers."""
        if len(ours) != len(theirs):
            raise ValueError(f"{len(ours)} accuracies against {len(theirs)}; they are paired by seed")
        # By whole images: equal differences are then equal to the bit.
        counts = [
            round(a * VALIDATION_IMAGES) - round(b * VALIDATION_IMAGES)
            for a, b in zip(ours, theirs, strict=True)
        ]
        sample = Sample.of([count / VALIDATION_IMAGES for count in counts])
        interval = _around_mean(sample, sample.standard_error, CONFIDENCE, -1.0)
        return cls(sample, interval, _two_sided_p(sample), sign_flip_p(counts))

    def to_dict(self, detectable: Sequence[float]) -> dict[str, Any]:
        """Plain values, for JSON, with the seeds that seeing each of the ``detectable`` takes."""
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
    """Two-sided p of the sign-flip test (Fisher 1935) that the sum of ``differences`` is not 0.

    The share of all 2ⁿ ways to set their signs whose sum lies at least as far from 0 as theirs. Whole
    numbers, so that the sums are counted one difference at a time rather than way by way; of more than
    ``EXACT_PAIRS`` differences it is taken from the normal distribution of the same variance.
    """
    import numpy as np

    sizes = [abs(difference) for difference in differences]
    if len(sizes) > EXACT_PAIRS and any(sizes):
        from scipy import stats

        return float(2 * stats.norm.sf(abs(sum(differences)) / math.hypot(*sizes)))
    share = np.zeros(2 * sum(sizes) + 1)  # of the ways that give each sum, the sum of all at the middle
    middle = sum(sizes)
    share[middle] = 1.0
    for size in filter(None, sizes):
        flipped = np.zeros_like(share)
        flipped[size:] += share[:-size] / 2
        flipped[:-size] += share[size:] / 2
        share = flipped
    distance = abs(sum(differences))
    sums = np.abs(np.arange(-middle, middle + 1))
    return min(1.0, float(share[sums >= distance].sum()))


def seeds_needed(
    difference: float, sd: float, *, significance: float = SIGNIFICANCE, power: float = POWER
) -> int | None:
    """Pairs of seeds that a two-sided t-test takes to see ``difference`` with ``power``; None for 0.

    ``sd`` is the standard deviation of the paired differences. By the noncentral t-distribution.
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
        # Where the shift is large, SciPy's lower tail is 0 or NaN; it is nothing there.
        lower = float(stats.nct.cdf(-critical, n - 1, shift))
        return float(stats.nct.sf(critical, n - 1, shift)) + (lower if lower > 0 else 0.0)

    n = max(2, math.floor(normal**2))
    while reached(n) < power:
        n += 1
    return n


def _around_mean(sample: Sample, spread: float | None, confidence: float, lowest: float) -> Interval | None:
    """The mean ± Student's quantile times ``spread``, no further than ``lowest`` and 1."""
    if spread is None:
        return None
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, sample.n - 1)) * spread
    return max(lowest, sample.mean - half), min(1.0, sample.mean + half)


def _two_sided_p(sample: Sample) -> float | None:
    """Of Student's t-test that the mean is not 0."""
    if sample.standard_error is None:
        return None
    if sample.standard_error == 0:
        return 0.0 if sample.mean else 1.0
    from scipy import stats

    return float(2 * stats.t.sf(abs(sample.mean) / sample.standard_error, sample.n - 1))
