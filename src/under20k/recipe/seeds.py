"""Random seeds: their range, and their one grammar: ``5``, ``0-9``, ``1,4,7`` or ``0-4,7``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from under20k.errors import InvalidValue
from under20k.recipe.fields import instance, whole_number

MAX_SEED = 2**32 - 1
MAX_SEEDS = 100_000
"""Most seeds that are trained at once."""
GRAMMAR = f"expected seeds from 0 to {MAX_SEED}, such as 5, 0-9 or 1,4,7"
NOT_CONSECUTIVE = "the seeds are not consecutive from 0, so they may have been hand-picked"
"""Why the mean over such seeds is not a claim."""
_PART = re.compile(r"([0-9]{1,10})(?: *- *([0-9]{1,10}))?")


def check_seed(seed: object) -> int:
    """Return ``seed`` if it is a whole number from 0 to 2³² − 1. Raises InvalidValue otherwise."""
    return whole_number("seed", seed, 0, MAX_SEED)


def parse_seeds(text: str, name: str = "seeds") -> tuple[int, ...]:
    """Return the seeds that a text names, in ascending order.

    Args:
        text: seeds and ranges, ends included, separated by commas: ``0-4,7``; blanks may surround the
            separators.
        name: what the text was given for, in the error.

    Raises:
        InvalidValue: for another text, a seed that is given twice, and more than ``MAX_SEEDS``.
    """
    ranges = []
    for part in text.split(","):
        found = _PART.fullmatch(part.strip(" "))
        if found is None or max(int(end) for end in found.groups() if end) > MAX_SEED:
            raise InvalidValue(f"{name}: {text!r:.80}; {GRAMMAR}")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            typed = f"{found[1]}-{found[2]}"
            raise InvalidValue(f"{name}: {text!r:.80}; the range {typed} is reversed: give {last}-{first}")
        ranges.append(range(first, last + 1))
    ranges.sort(key=lambda seeds: seeds.start)
    for before, after in pairwise(ranges):
        if after.start < before.stop:
            raise InvalidValue(f"{name}: {text!r:.80}; seed {after.start} is given twice")
    if (count := sum(map(len, ranges))) > MAX_SEEDS:
        raise InvalidValue(f"{name}: {text!r:.80}; these are {count:,} seeds, give at most {MAX_SEEDS:,}")
    return tuple(seed for seeds in ranges for seed in seeds)


def parse_seed(text: str, name: str = "seed") -> int:
    """Return the one seed that a text names. Raises InvalidValue for another text and several seeds."""
    if re.fullmatch("-?[0-9]{1,100}", text):
        return whole_number(name, int(text), 0, MAX_SEED)
    try:
        seeds = parse_seeds(text, name)
    except InvalidValue:
        raise InvalidValue(f"{name}: {text!r:.80}; expected a whole number from 0 to {MAX_SEED}") from None
    if len(seeds) > 1:
        raise InvalidValue(f"{name}: {text!r:.80}; expected one seed, but these are {len(seeds):,}")
    return seeds[0]


def check_seeds(seeds: object, most: int = MAX_SEEDS) -> tuple[int, ...]:
    """Return the seeds of a function's argument, in ascending order.

    Raises InvalidValue unless it is a sequence of 1 to ``most`` different seeds.
    """
    if isinstance(seeds, int | str):
        expected = "a sequence of seeds, such as range(10) or [1, 4, 7]"
        raise InvalidValue(f"seeds: {seeds!r:.80}; expected {expected}")
    instance("seeds", seeds, Sequence, "a sequence of seeds, such as range(10) or [1, 4, 7]")
    assert isinstance(seeds, Sequence)
    if not 1 <= len(seeds) <= most:
        raise InvalidValue(f"seeds: {len(seeds):,} of them; expected 1 to {most:,}")
    ordered = sorted(check_seed(seed) for seed in seeds)
    for before, after in pairwise(ordered):
        if before == after:
            raise InvalidValue(f"seeds: {after} is given twice; expected different ones")
    return tuple(ordered)


def seeds_as_typed(seeds: Sequence[int]) -> str:
    """Return the shortest text that ``parse_seeds`` reads as these ascending seeds: ``0-4,7``."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1][1:] = [seed]
        else:
            ranges.append([seed])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


def consecutive_from_0(seeds: Sequence[int]) -> bool:
    """Tell whether the seeds are 0, 1, 2 and so on, in this order, as a claim needs them."""
    return list(seeds) == list(range(len(seeds)))
