"""Numbers as text. Accuracies are fractions in code and percentages only when printed."""

from __future__ import annotations


def percent(fraction: float, decimals: int = 2) -> str:
    """Write a fraction as a percentage: ``0.994`` as ``99.40%``."""
    return f"{fraction:.{decimals}%}"


def points(difference: float) -> str:
    """Write a difference of fractions in signed percentage points: ``0.0049`` as ``+0.49``."""
    return f"{100 * difference:+.2f}"
