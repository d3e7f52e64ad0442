"""What the native engine counts when it times the processor and its own kernels."""

from typing import Any

import pytest

from benchmarks.peak import fma_peak
from under20k.engine import _native
from under20k.engine.isa import instruction_set

LANES = {"baseline": 4, "avx2": 8, "avx512": 16}
SHAPE = {"kernel": 3, "padding": 1, "inputs": 5, "outputs": 4, "side": 9}


def test_multiply_adds_are_counted_by_the_round() -> None:
    for isa, lanes in LANES.items():
        try:
            work, time_s = _native.time_multiply_adds(isa, 1000)
        except ValueError:
            assert isa != "baseline"  # which every processor has
            continue
        assert work % (1000 * lanes) == 0
        assert work > 1000 * lanes
        assert time_s > 0
        assert _native.time_multiply_adds(isa, 3000)[0] == 3 * work


def test_the_peak_is_that_of_all_threads() -> None:
    assert fma_peak(1, 1e-3) > 0
    assert fma_peak(2, 1e-3) > 0


@pytest.mark.parametrize("which", ["forward", "input gradient", "weight gradient"])
@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        SHAPE | {"padding": 0},
        SHAPE | {"side": 1},
        {"kernel": 1, "padding": 0, "inputs": 1, "outputs": 1, "side": 1},
        {"kernel": 3, "padding": 0, "inputs": 20, "outputs": 24, "side": 5},
        {"kernel": 3, "padding": 1, "inputs": 8, "outputs": 14, "side": 28},
    ],
)
def test_convolutions_are_counted_by_the_image(which: str, shape: dict[str, int]) -> None:
    isa = instruction_set()
    images, time_s = _native.time_convolution(isa=isa, which=which, repetitions=3, **shape)
    assert images == 3 * LANES[isa]
    assert time_s > 0


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": 0},
        {"outputs": -1},
        {"kernel": 0},
        {"kernel": 2},
        {"kernel": 5, "padding": 2, "which": "weight gradient"},
        {"padding": 3},
        {"padding": -1},
        {"side": 0},
        {"repetitions": 0},
    ],
)
def test_a_convolution_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    options: dict[str, Any] = {"isa": "", "which": "forward", "repetitions": 1, **SHAPE} | change
    with pytest.raises(ValueError, match="a convolution has"):
        _native.time_convolution(**options)


def test_an_unknown_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="a known pass"):
        _native.time_convolution(isa="", which="sideways", repetitions=1, **SHAPE)
