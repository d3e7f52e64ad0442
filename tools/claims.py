"""Check that results/ supports the statements in docs/: ``python -m tools.claims``.

These are statistics of committed data. New results may refute a claim though no code is wrong, so that
`make claims` checks them, not a test.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats

from tools.readme import RECIPES, both_engines, both_precisions

NOT_IN_BF16 = {"robust"}
"""Recipes without a bench in bf16, about which docs/ claims nothing."""
LEVEL = 0.01
"""Of each test that a recipe differs, Bonferroni-corrected over the recipes."""
MOST_LOST = 0.0003
"""Accuracy that bf16 may cost over all recipes, with 97.5% confidence."""


def engines() -> list[str]:
    """Return the recipes in which the accuracies of native and torch differ by more than chance, by seed."""
    wrong = []
    pairs = both_engines()
    for name in ("regularized", "minimal"):
        ours, theirs = pairs[name]
        used = [{seed.environment["engine"] for seed in bench.seeds} for bench in (ours, theirs)]
        if used != [{"native"}, {"torch"}] or not len(ours.last) == len(theirs.last) == 10:
            wrong.append(f"{name}: expected ten seeds of native and of torch")
        elif (p := stats.ttest_rel(ours.last, theirs.last).pvalue) <= LEVEL:
            wrong.append(f"{name}: the accuracies of native and torch differ, p = {p:.2g}")
    return wrong


def precisions() -> list[str]:
    """Return where bf16 costs accuracy: in a recipe, or over all of them."""
    wrong, differences = [], []
    pairs = both_precisions()
    if pairs.keys() != (expected := RECIPES.keys() - NOT_IN_BF16):
        wrong.append(f"bf16: expected a bench of each of {', '.join(sorted(expected))}")
    for name, (bf16, fp32) in pairs.items():
        used = [{seed.environment.get("precision", "fp32") for seed in bench.seeds} for bench in (bf16, fp32)]
        if used != [{"bf16"}, {"fp32"}] or len(bf16.seeds) != 20:
            wrong.append(f"{name}: expected twenty seeds in bf16 and in fp32")
        difference = np.array(bf16.last) - np.array(fp32.last)
        differences += list(difference)
        if (p := stats.ttest_1samp(difference, 0).pvalue) <= LEVEL / len(pairs):
            wrong.append(f"{name}: the accuracies in bf16 and fp32 differ, p = {p:.2g}")
    low = stats.ttest_1samp(differences, 0).confidence_interval(0.95)[0]
    if low <= -MOST_LOST:
        wrong.append(f"bf16 may lose {-low:.3%} accuracy, more than {MOST_LOST:.2%}")
    return wrong


def main() -> int:
    """Print the claims that do not hold; return the exit code."""
    wrong = engines() + precisions()
    print("\n".join(wrong) or "results/ bears out docs/")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
