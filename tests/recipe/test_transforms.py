"""Elastic deformation against SciPy in float64, on grids as drawn; and fading."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates

from tests.support.strategies import AUGMENTATIONS
from under20k.data import Mnist
from under20k.engine import torch_transforms
from under20k.recipe.named import MINIMAL
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Augmentation
from under20k.recipe.transforms import displacements, draw_grids, draw_matrices, spline_weights

WIDE = Augmentation(rotation_deg=20, translation_px=3, scale=0.2, shear=0.2, elastic_px=3)


def by_scipy_weights() -> Any:
    """Uniform cubic B-splines over five cells that cover the image, at the pixels' centres, (28, 8)."""
    knots = np.arange(-3, 9)  # the image's edges at 0 and 5
    return BSpline(knots, np.eye(8), 3)((np.arange(28) + 0.5) * 5 / 28)


def by_scipy(grids: Any) -> Any:
    """Displacements in pixels."""
    design = by_scipy_weights()
    return np.einsum("yi,ncij,xj->ncyx", design, grids / 256, design)


@pytest.mark.parametrize("elastic_px", [0.25, 1, 28])
def test_displacements_against_scipy(elastic_px: float):
    grids = draw_grids(elastic_px, 200, np.random.default_rng(0))
    # Of an axis' four weights, the largest may be off by 1.5/512, for the sum is made good there, the others
    # by 0.5/512; and the cut at 1/65536.
    allowed = elastic_px * 2 * (1.5 + 3 * 0.5) / 512 + 1 / 65536
    assert np.abs(displacements(grids) / 65536 - by_scipy(grids)).max() < allowed


def test_spline_weights_sum_to_one_and_are_adjacent():
    weights = spline_weights()
    assert (weights.sum(axis=1) == 512).all()
    assert (weights >= 0).all()
    cells = (np.arange(28) + 0.5) * 5 // 28
    outside = np.abs(np.arange(8) - cells[:, None] - 1.5) > 1.5
    assert (weights[outside] == 0).all()
    assert np.array_equal(weights, weights[::-1, ::-1])


def test_a_constant_grid_moves_every_pixel_alike():
    grids = np.empty((1, 2, 8, 8), np.int16)
    grids[:, 0], grids[:, 1] = 384, -128
    moved = displacements(grids)
    assert (moved[:, 0] == 1.5 * 65536).all()
    assert (moved[:, 1] == -0.5 * 65536).all()


def test_pixels_move_as_documented():
    moved = displacements(draw_grids(1, 5000, np.random.default_rng(4))) / 65536
    along_an_axis = (by_scipy_weights() ** 2).sum(axis=1).mean()
    assert moved.std() == pytest.approx(np.sqrt(along_an_axis**2 / 3), rel=0.01)
    assert f"{moved.std():.2f}" == "0.28"
    assert np.abs(moved).max() <= 1


def test_grids_are_uniform_and_independent():
    grids = draw_grids(2, 5000, np.random.default_rng(1)).astype(np.float64) / 256
    assert np.abs(grids).max() <= 2
    quantiles = np.quantile(grids, np.linspace(0, 1, 21)) / 2
    assert np.abs(quantiles - np.linspace(-1, 1, 21)).max() < 7 / np.sqrt(grids.size)
    points = grids.reshape(5000, -1)
    correlations = np.corrcoef(points.T) - np.eye(points.shape[1])
    assert np.abs(correlations).max() < 6 / np.sqrt(len(points))


@settings(deadline=None)
@given(st.floats(0, 28), st.integers(0, 2**32))
def test_torch_displacements_are_bit_exact(elastic_px, seed):
    grids = draw_grids(elastic_px, 20, np.random.default_rng(seed))
    assert np.array_equal(
        torch_transforms.displacements(torch.from_numpy(grids)).numpy(), displacements(grids)
    )


@pytest.mark.parametrize("bilinear", [False, True])
def test_pixels_against_scipy(mnist: Mnist, bilinear: bool):
    """The affine map's point and the displacement together say where a pixel comes from."""
    rng = np.random.default_rng(2)
    images = mnist.train.images[:200]
    matrices, grids = draw_matrices(WIDE, len(images), rng), draw_grids(WIDE.elastic_px, len(images), rng)
    assert matrices is not None
    moved = displacements(grids)
    warped = torch_transforms.warp(
        *(torch.from_numpy(a) for a in (images, matrices)), bilinear, torch.from_numpy(moved)
    )
    rows, columns = np.mgrid[0:28, 0:28]
    grid = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    points = (matrices @ grid).reshape(moved.shape) / 65536 + moved / 65536 - 0.5  # of pixels' centres
    expected = np.stack(
        [
            # Nearest: SciPy rounds to a pixel's centre as the plan takes the pixel that covers the point.
            map_coordinates(image.astype(np.float64), [y, x], order=int(bilinear), mode="grid-constant")
            for image, (x, y) in zip(images, points, strict=True)
        ]
    )
    assert np.abs(warped.numpy() - expected).max() < 1e-3
    assert np.abs(warped.numpy() - images).mean() > 5  # and something moves


def test_elastic_changes_no_other_draw():
    plain, elastic = (
        epoch_plan(MINIMAL.with_changes(rotation_deg=5, elastic_px=px), 3, 2, 300) for px in (0.0, 1.0)
    )
    assert plain.grids is None
    assert elastic.grids is not None
    assert elastic.grids.shape == (300, 2, 8, 8)
    for name in ("order", "matrices", "dropout_seed", "learning_rates"):
        assert np.array_equal(getattr(plain, name), getattr(elastic, name))


def test_elastic_alone_has_identity_matrices():
    plan = epoch_plan(MINIMAL.with_changes(elastic_px=1), 0, 1, 10)
    assert plan.matrices is not None
    assert (plan.matrices == np.array([[65536, 0, 32768], [0, 65536, 32768]])).all()


@given(AUGMENTATIONS, st.integers(1, 50), st.data())
def test_only_the_last_epochs_fade(augmentation, epochs, data):
    epoch = data.draw(st.integers(1, epochs))
    found = augmentation.in_epoch(epoch, epochs)
    factor = augmentation.fade_strength if epochs - epoch < augmentation.fade_epochs else 1
    for field in fields(augmentation):
        if isinstance(field.default, float) and field.name != "fade_strength":
            assert getattr(found, field.name) == getattr(augmentation, field.name) * factor
    assert found.interpolation == augmentation.interpolation


def test_a_faded_epoch_draws_the_same_on_smaller_ranges():
    recipe = MINIMAL.with_changes(translation_px=4, elastic_px=4, fade_epochs=2, fade_strength=0.25)
    whole = MINIMAL.with_changes(translation_px=4, elastic_px=4)
    assert np.array_equal(epoch_plan(recipe, 0, 6, 50).grids, epoch_plan(whole, 0, 6, 50).grids)
    faded, full = epoch_plan(recipe, 0, 7, 50), epoch_plan(whole, 0, 7, 50)
    for small, large in (
        (faded.grids, full.grids),
        (faded.matrices[:, :, 2] - 32768, full.matrices[:, :, 2] - 32768),
    ):
        assert np.abs(small - 0.25 * large).max() <= 1


def test_fade_strength_0_turns_augmentation_off():
    recipe = MINIMAL.with_changes(translation_px=4, elastic_px=4, fade_epochs=1, fade_strength=0)
    assert epoch_plan(recipe, 0, 7, 50).matrices is not None
    last = epoch_plan(recipe, 0, 8, 50)
    assert last.matrices is None
    assert last.grids is None
