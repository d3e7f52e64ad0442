"""The kernels of a graph's operations, called on arrays (images, channels, rows, columns)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.single_kernels import LANES, Array, assert_within, double, kernels

Double = NDArray[np.float64]

FRAMES = ((0, 0, False), (1, 2, False), (3, 0, False), (3, 3, True), (0, 4, True))
"""Rows and columns around the maps, and whether they hold zeros rather than junk."""


def run(isa: str, call: Callable[[Any], Any]) -> Any:
    """Return what ``call`` makes of the kernels: the same bits whatever frames the maps have."""
    module = kernels(isa)
    results = [call(module.Operations(isa, *frame)) for frame in FRAMES]
    for other in results[1:]:
        for found, expected in zip(_arrays(other), _arrays(results[0]), strict=True):
            np.testing.assert_array_equal(found, expected)
    return results[0]


def _arrays(result: Any) -> tuple[NDArray[Any], ...]:
    return result if isinstance(result, tuple) else (result,)


def groups(isa: str) -> tuple[int, ...]:
    """Return numbers of images: a whole group, a partial one, one image."""
    lanes = LANES[isa]
    return (lanes, lanes - 1, 1)


def draw(generator: np.random.Generator, *shape: int) -> Array:
    return generator.standard_normal(shape).astype(np.float32)


def wide(array: Array) -> Double:
    return array.astype(np.float64)


def assert_near(found: NDArray[Any], expected: Double, bound: Double | float) -> None:
    """Every element is finite and within the bound on its rounding."""
    assert_within(found, double(expected), double(np.broadcast_to(bound, expected.shape).copy()))
