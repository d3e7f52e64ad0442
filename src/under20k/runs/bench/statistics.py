"""What several seeds of a recipe say together, and how accuracies are written.

Accuracies are fractions everywhere but in text, where they are percentages.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from under20k.formatting import percent
from under20k.recipe.limits import TARGET_ACCURACY

ROUNDING = 1e-12  # by which a mean may lie off; a single image moves it by far more


def reaches_target(accuracy: float) -> bool:
    """Whether an accuracy, which is a count over a count or a mean of such, is at or above the target."""
    return accuracy >= TARGET_ACCURACY - ROUNDING


def first_at_target(history: Sequence[float]) -> int | None:
    """The first epoch, counted from 1, of a run's validation accuracies at or above the target."""
    return next((epoch for epoch, value in enumerate(history, 1) if reaches_target(value)), None)


@dataclass(frozen=True)
class Sample:
    """A sample of accuracies, described."""

    n: int
    mean: float
    sd: float | None
    """Standard deviation with n − 1 in the denominator; None for a single value, which shows no spread."""
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """Describe at least one value. Raises ValueError for none."""
        if not values:
            raise ValueError("a sample needs at least one value")
        sd = statistics.stdev(values) if len(values) > 1 else None
        return cls(len(values), statistics.fmean(values), sd, min(values), max(values))

    @property
    def standard_error(self) -> float | None:
        """Of the mean; None for a single value."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)

    def __str__(self) -> str:
        """``99.400 ± 0.045 %``, or ``99.40%`` for a single value."""
        if self.sd is None:
            return percent(self.mean)
        return f"{100 * self.mean:.3f} ± {100 * self.sd:.3f} %"

    @property
    def range(self) -> str:
        """``99.31–99.48%``."""
        return f"{100 * self.minimum:.2f}–{percent(self.maximum)}"


@dataclass(frozen=True)
class Summary:
    """The validation accuracies of one recipe's runs, one run a seed.

    ``last`` is the result. ``best`` selects each run's epoch by the accuracy that it then reports, so it is
    too high; it is shown only beside ``last`` and labelled.
    """

    last: Sample
    """Of each run's last epoch."""
    best: Sample
    """Of each run's best epoch."""
    reached_at_last: int
    """Runs at or above the target at their last epoch."""
    reached_at_any: int
    """Runs at or above the target at one epoch or more."""

    @classmethod
    def of(cls, histories: Sequence[Sequence[float]]) -> Summary:
        """Summarise the validation accuracies of each run, epoch by epoch; at least one run of one epoch."""
        last, best = [history[-1] for history in histories], [max(history) for history in histories]
        return cls(
            Sample.of(last), Sample.of(best), sum(map(reaches_target, last)), sum(map(reaches_target, best))
        )

    @property
    def n(self) -> int:
        """Number of runs."""
        return self.last.n

    @property
    def share_at_last(self) -> float:
        """Fraction of the runs at or above the target at their last epoch."""
        return self.reached_at_last / self.n

    @property
    def share_at_any(self) -> float:
        """Fraction of the runs at or above the target at any epoch."""
        return self.reached_at_any / self.n

    def __str__(self) -> str:
        """The last epoch's accuracies in a line."""
        return f"{self.last} (n = {self.n})" if self.n > 1 else str(self.last)
