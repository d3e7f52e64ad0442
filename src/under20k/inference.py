"""What a sample allows to be said: intervals, tests of a claim, paired differences, seeds needed.

Accuracies are fractions. SciPy is imported where it computes, for it takes a moment to load.

Over seeds, a recipe's accuracies are taken as independent draws, roughly normal; each test's stated error
rate is checked by simulation in ``tests/report/test_inference.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from under20k.statistics import Sample

CONFIDENCE = 0.95
"""Of every interval that is printed."""
POWER = 0.8
"""With which a difference is to be seen, where seeds needed for it are counted."""
SIGNIFICANCE = 0.05
"""Two-sided level of a difference that counts as seen."""
RESOLUTION = 10_000
"""Images of validation: an accuracy is a whole number of these."""
EXACT_SEEDS = 1000  # up to so many the t-distribution counts; beyond, it is the normal one


def confidence_interval(sample: Sample, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Student's interval for the mean; None for a single value, which shows no spread."""
    if sample.standard_error is None:
        return None
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, sample.n - 1)) * sample.standard_error
    return sample.mean - half, sample.mean + half


def prediction_interval(sample: Sample, confidence: float) -> tuple[float, float] | None:
    """Where one more draw falls, with so much confidence; None for a single value."""
    if sample.sd is None:
        return None
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, sample.n - 1)) * sample.sd * math.sqrt(1 + 1 / sample.n)
    return sample.mean - half, sample.mean + half


def exceeds_p(sample: Sample, threshold: float) -> float | None:
    """One-sided p of Student's t-test that the mean exceeds ``threshold``; None for a single value.

    Values that are all the same leave no doubt: 0 above the threshold, 1 at or below it.
    """
    if sample.standard_error is None:
        return None
    if sample.standard_error == 0:
        return 0.0 if sample.mean > threshold else 1.0
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
    """Of the exact sign-flip test, which assumes only that without a difference either sign is as likely."""

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Difference:
        """Of accuracies in the same order of seeds. Raises ValueError for none, or for unequal numbers."""
        if len(ours) != len(theirs):
            raise ValueError(f"{len(ours)} accuracies against {len(theirs)}; they are paired by seed")
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        sample = Sample.of(differences)
        counts = [round(a * RESOLUTION) - round(b * RESOLUTION) for a, b in zip(ours, theirs, strict=True)]
        return cls(sample, confidence_interval(sample), _two_sided_p(sample), sign_flip_p(counts))


def sign_flip_p(differences: Sequence[int]) -> float:
    """Two-sided p of the exact sign-flip test (Fisher 1935) that the sum of ``differences`` is not 0.

    The share of all 2ⁿ ways to set their signs whose sum lies at least as far from 0 as theirs. Whole
    numbers, so that the sums are counted one difference at a time rather than way by way.
    """
    import numpy as np

    sizes = [abs(difference) for difference in differences]
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


def _two_sided_p(sample: Sample) -> float | None:
    """Of Student's t-test that the mean is not 0."""
    if sample.standard_error is None:
        return None
    if sample.standard_error == 0:
        return 0.0 if sample.mean else 1.0
    from scipy import stats

    return float(2 * stats.t.sf(abs(sample.mean) / sample.standard_error, sample.n - 1))
