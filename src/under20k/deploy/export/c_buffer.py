"""One buffer for the values of a graph: two lie in the same place if they are never needed at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """A value of the computation."""

    name: str
    size: int
    """In elements."""
    first: int
    """The step that writes it."""
    last: int
    """The last step that reads it."""


def placed(values: Sequence[Value]) -> tuple[int, Mapping[str, int]]:
    """Return the size of a buffer for all values, and their offsets in it, in elements.

    The largest values are placed first, each as far in front as those allow that it lives beside.
    """
    offsets: dict[str, int] = {}
    lying: list[Value] = []
    for value in sorted(values, key=lambda value: (-value.size, value.first)):
        beside = [other for other in lying if other.first <= value.last and value.first <= other.last]
        start = 0
        for other in sorted(beside, key=lambda other: offsets[other.name]):
            if start + value.size <= offsets[other.name]:
                break
            start = max(start, offsets[other.name] + other.size)
        offsets[value.name] = start
        lying.append(value)
    return max((offsets[value.name] + value.size for value in values), default=0), offsets
