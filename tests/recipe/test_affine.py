"""The maps of augmentation against matrices composed by hand in float64."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import AUGMENTATIONS
from under20k.recipe.recipe import Augmentation
from under20k.recipe.transforms import affine_matrices, draw_matrices

ONE = 65536


def matrices(rotation: float = 0, x: float = 0, y: float = 0, scale: float = 1, shear: float = 0) -> Any:
    return affine_matrices(*(np.array([value], np.float64) for value in (rotation, x, y, scale, shear)))[0]


def composed(rotation: float, x: float, y: float, scale: float, shear: float) -> Any:
    """Output pixel centres → input points, (2, 3): the inverse of the forward maps one after the other.

    In coordinates of an image (x right, y down), a counter-clockwise turn takes x to (cos, −sin).
    """
    cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    to_centre = np.array([[1, 0, -14], [0, 1, -14], [0, 0, 1]])
    scaled = np.diag([scale, scale, 1])
    sheared = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    rotated = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    shifted = np.array([[1, 0, 14 + x], [0, 1, 14 + y], [0, 0, 1]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # of pixel (0, 0) the centre lies at (½, ½)
    return (np.linalg.inv(shifted @ rotated @ sheared @ scaled @ to_centre) @ half)[:2]


@given(st.floats(-180, 180), st.floats(-28, 28), st.floats(-28, 28), st.floats(0.1, 1.9), st.floats(-2, 2))
def test_composition(rotation, x, y, scale, shear):
    expected = composed(rotation, x, y, scale, shear)
    assert np.abs(matrices(rotation, x, y, scale, shear) / ONE - expected).max() <= 0.5 / ONE + 1e-9


@pytest.mark.parametrize(
    ("arguments", "point"),
    [  # Where the centre of output pixel (20, 14), at (20.5, 14.5), comes from.
        ({}, (20.5, 14.5)),
        ({"x": 3}, (17.5, 14.5)),
        ({"y": 3}, (20.5, 11.5)),
        ({"scale": 0.5}, (14 + 13, 14 + 1)),
        ({"shear": 0.5}, (20.5 - 0.25, 14.5)),
        ({"rotation": 90}, (14 - 0.5, 14 + 6.5)),
        ({"rotation": 180}, (14 - 6.5, 14 - 0.5)),
        # Shifted after the turn: back by 3, then turned back.
        ({"rotation": 90, "x": 3}, (14 - 0.5, 14 + 3.5)),
    ],
)
def test_by_hand(arguments, point):
    assert matrices(**arguments) @ [20, 14, 1] / ONE == pytest.approx(point, abs=1e-12)


def test_no_matrices_without_augmentation():
    assert draw_matrices(Augmentation(interpolation="bilinear"), 10, np.random.default_rng(0)) is None


@settings(deadline=None)
@given(AUGMENTATIONS, st.integers(0, 2**32))
def test_coordinates_stay_within_32_bits(augmentation, seed):
    found = draw_matrices(augmentation, 50, np.random.default_rng(seed))
    if found is not None:
        corners = np.array([[0, 0, 1], [27, 0, 1], [0, 27, 1], [27, 27, 1]])
        assert np.abs(np.einsum("nij,cj->nci", found.astype(np.float64), corners)).max() < 2**31


def draws(seed: int, **ranges: float) -> Any:
    found = draw_matrices(Augmentation(**ranges), 20_000, np.random.default_rng(seed))
    assert found is not None
    return found / ONE


def uniform(values: Any, limit: float) -> None:
    """Within ± limit, with the quantiles of a uniform distribution (seven standard errors)."""
    assert np.abs(values).max() <= limit
    quantiles = np.quantile(values, np.linspace(0, 1, 21)) / limit
    assert np.abs(quantiles - np.linspace(-1, 1, 21)).max() < 2 * 7 * 0.5 / np.sqrt(len(values))


def test_draws_are_uniform_and_independent():
    turned = draws(1, rotation_deg=30)
    angles = np.rad2deg(np.arctan2(turned[:, 1, 0], turned[:, 1, 1]))
    uniform(angles, 30.001)
    shifted = draws(1, translation_px=4)
    x, y = 0.5 - shifted[:, 0, 2], 0.5 - shifted[:, 1, 2]
    uniform(x, 4.001)
    uniform(y, 4.001)
    scale = 1 / draws(1, scale=0.5)[:, 0, 0] - 1
    uniform(scale, 0.501)
    shear = -draws(1, shear=0.7)[:, 0, 1]
    uniform(shear, 0.701)
    correlations = np.corrcoef([angles, x, y, scale, shear]) - np.eye(5)
    assert np.abs(correlations).max() < 5 / np.sqrt(len(x))


def test_widening_one_range_leaves_the_other_values_unchanged():
    alone, beside = draws(3, rotation_deg=30), draws(3, rotation_deg=30, translation_px=5)
    assert np.array_equal(alone[:, :, :2], beside[:, :, :2])
    assert not np.array_equal(alone[:, :, 2], beside[:, :, 2])
