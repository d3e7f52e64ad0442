"""Random seeds: the range that every run's seed comes from."""

from __future__ import annotations

from under20k.recipe.fields import whole_number

MAX_SEED = 2**32 - 1


def check_seed(seed: object) -> int:
    """Return ``seed`` if it is a whole number from 0 to 2³² − 1. Raises InvalidValue otherwise."""
    return whole_number("seed", seed, 0, MAX_SEED)
