"""Descriptive statistics of a recipe's accuracies over seeds. Accuracies are fractions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY

ROUNDING = 1e-12  # of a mean of accuracies; a single image changes it by far more


def reaches_target(accuracy: float) -> bool:
    """Tell whether an accuracy, a ratio of counts or a mean of such, is at or above the target."""
    return accuracy >= TARGET_ACCURACY - ROUNDING


def first_at_target(history: Sequence[float]) -> int | None:
    """Return the first epoch, counted from 1, at or above the target, given an accuracy per epoch."""
    return next((epoch for epoch, value in enumerate(history, 1) if reaches_target(value)), None)


@dataclass(frozen=True)
class Sample:
    """A sample of numbers, such as accuracies or seconds, and its statistics."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """Make a sample of at least one value. Raises ValueError for none."""
        if not values:
            raise ValueError("a sample needs at least one value")
        return cls(tuple(values))

    @property
    def n(self) -> int:
        """Return the number of values."""
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        """Return the arithmetic mean."""
        return statistics.fmean(self.values)

    @cached_property
    def sd(self) -> float | None:
        """Return the standard deviation, with n − 1 in the denominator; None for a single value."""
        return statistics.stdev(self.values) if self.n > 1 else None

    @property
    def minimum(self) -> float:
        """Return the smallest value."""
        return min(self.values)

    @property
    def maximum(self) -> float:
        """Return the largest value."""
        return max(self.values)

    @property
    def standard_error(self) -> float | None:
        """Return the standard error of the mean; None for a single value."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)

    def __str__(self) -> str:
        """Return accuracies as ``99.400 ± 0.045 %``, or ``99.40%`` for a single one."""
        if self.sd is None:
            return percent(self.mean)
        return f"{100 * self.mean:.3f} ± {100 * self.sd:.3f} %"

    @property
    def range(self) -> str:
        """Return the range of accuracies as ``99.31–99.48%``."""
        return f"{100 * self.minimum:.2f}–{percent(self.maximum)}"


@dataclass(frozen=True)
class Summary:
    """The validation accuracies of one recipe's runs, one run per seed.

    ``last`` is the result. ``best`` selects each run's epoch by the accuracy that it then reports, so it is
    too high; it is shown only beside ``last`` and labelled.
    """

    last: Sample
    """Of each run's last epoch."""
    best: Sample
    """Of each run's best epoch."""
    reached_at_last: int
    """Number of runs at or above the target at their last epoch."""
    reached_at_any: int
    """Number of runs at or above the target at one epoch or more."""

    @classmethod
    def of(cls, histories: Sequence[Sequence[float]]) -> Summary:
        """Summarise the validation accuracies of each run, epoch by epoch; at least one run of one epoch."""
        last, best = [history[-1] for history in histories], [max(history) for history in histories]
        return cls(
            Sample.of(last), Sample.of(best), sum(map(reaches_target, last)), sum(map(reaches_target, best))
        )

    @property
    def n(self) -> int:
        """Return the number of runs."""
        return self.last.n

    @property
    def share_at_last(self) -> float:
        """Return the fraction of runs at or above the target at their last epoch."""
        return self.reached_at_last / self.n

    @property
    def share_at_any(self) -> float:
        """Return the fraction of runs at or above the target at any epoch."""
        return self.reached_at_any / self.n

    def __str__(self) -> str:
        """Return the last epoch's accuracies as one line."""
        return f"{self.last} (n = {self.n})" if self.n > 1 else str(self.last)
