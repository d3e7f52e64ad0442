"""Contenders take turns, and ratios are those of neighbours."""

import itertools

import pytest

from benchmarks.turns import in_turns, ratio


def test_every_contender_has_one_turn_a_round() -> None:
    order: list[str] = []
    clock = itertools.count(1)

    def measure(name: str) -> float:
        order.append(name)
        return next(clock)

    told: list[str] = []
    values = in_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, 3, told.append)
    assert order == ["a", "b"] * 3
    assert values == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert len(told) == 6


def test_a_ratio_is_the_median_of_the_turns_own() -> None:
    # The medians' ratio would be 2.5: a slow turn of both says nothing of either.
    assert ratio([2, 30, 5], [1, 10, 2]) == 2.5
    assert ratio([4, 40, 400], [2, 10, 50]) == 4


def test_turns_without_a_neighbour_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1, 2], [1])
