"""Constants that C++ and Python both hold, for the two to be compared."""

from __future__ import annotations

from collections.abc import Mapping

from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.filters import (
    BITMAP_FIRST,
    BITMAP_LOW,
    HIGHEST_SIDE,
    LOWEST_SIDE,
    ROUND_BITS,
    WEIGHT_BITS,
)
from under20k.recipe.plan import MIX_FIRST, MIX_SECOND
from under20k.recipe.transforms import FIXED_ONE, SURPLUS_BITS, G

CONSTANTS: Mapping[str, float] = {
    "classes": CLASSES,
    "image side": IMAGE_SIDE,
    "grid": G,
    "fraction bits": FIXED_ONE.bit_length() - 1,
    "surplus bits": SURPLUS_BITS,
    "round bits": ROUND_BITS,
    "lowest side": LOWEST_SIDE,
    "highest side": HIGHEST_SIDE,
    "weight bits": WEIGHT_BITS,
    "bitmap first": BITMAP_FIRST,
    "bitmap low": BITMAP_LOW,
    "mean": MEAN,
    "standard deviation": STANDARD_DEVIATION,
    "first hash multiplier": MIX_FIRST,
    "second hash multiplier": MIX_SECOND,
}


def differing(compiled: Mapping[str, float]) -> list[str]:
    """Return how the constants of a compiled engine differ from Python's, one text for each."""
    names = dict(CONSTANTS) | dict(compiled)
    return [
        f"{name} {compiled.get(name, 'missing')}, not {CONSTANTS.get(name, 'any')}"
        for name in names
        if compiled.get(name) != CONSTANTS.get(name)
    ]
