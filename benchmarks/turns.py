"""Measure in turns, A B A B, so that other load on the machine affects all contenders alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

PAUSE_S = 0.02
"""Before each measurement: threads of the one before may spin for a while, waiting for more work."""


class Unavailable(Exception):
    """A contender cannot take part here; the message says why."""


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(
    contenders: Mapping[str, Callable[[], float]],
    rounds: int,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, list[float]]:
    """Return each contender's results, round by round; each contender has one turn per round."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name, measure in contenders.items():
            time.sleep(PAUSE_S)
            values[name].append(measure())
            tell(f"turn {turn + 1} of {rounds}: {name} {values[name][-1]:.4g}")
    return values


def ratio(these: Sequence[float], to: Sequence[float]) -> float:
    """Return the median ratio of these values to ``to``, turn by turn."""
    return median(a / b for a, b in zip(these, to, strict=True))
