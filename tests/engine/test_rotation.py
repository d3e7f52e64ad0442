"""Warped images against Pillow, which is what torchvision's RandomRotation uses, and against float64."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from under20k.data import Mnist
from under20k.engine.torch_transforms import warp
from under20k.recipe.named import REGULARIZED
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Augmentation
from under20k.recipe.transforms import affine_matrices, draw_matrices

WIDE = Augmentation(rotation_deg=40, translation_px=6, scale=0.4, shear=0.5)


def turned(images: Any, angles: Any) -> Any:
    nought = np.zeros(len(images))
    matrices = affine_matrices(angles, nought, nought, nought + 1, nought)
    return warp(torch.from_numpy(images), torch.from_numpy(matrices), False).numpy()


def by_pillow(images: Any, angles: Any) -> Any:
    """What RandomRotation does with a drawn angle: nearest, about the centre, background 0."""
    return np.stack(
        [
            np.asarray(Image.fromarray(image).rotate(angle, resample=Image.Resampling.NEAREST))
            for image, angle in zip(images, angles.tolist(), strict=True)
        ]
    )


def different(first: Any, second: Any) -> int:
    return int((np.asarray(first) != np.asarray(second)).sum())


@pytest.mark.parametrize("limit", [5, 180])
def test_rotation_pixel_for_pixel(mnist: Mnist, limit: int):
    images = mnist.train.images[:4000]
    angles = np.random.default_rng(limit).uniform(-limit, limit, len(images))
    assert different(turned(images, angles), by_pillow(images, angles)) == 0
    # And it is no empty comparison: turning changes most images.
    assert different(by_pillow(images, angles), images) > len(images) * 10


def test_rotation_by_round_angles(mnist: Mnist):
    angles = np.array([0, 1, -1, 5, -5, 30, 45, -45, 90, -90, 135, 180, -180, 1e-9, 89.999999], np.float64)
    images = mnist.train.images[: len(angles)]
    assert different(turned(images, angles), by_pillow(images, angles)) == 0


def test_pixels_of_noise_are_where_pillow_puts_them():
    images = np.random.default_rng(0).integers(1, 256, (500, 28, 28), np.uint8)
    angles = np.linspace(-5, 5, len(images))
    assert different(turned(images, angles), by_pillow(images, angles)) == 0


def test_a_planned_epoch_is_that_rotation(mnist: Mnist):
    """From the recipe: angles in ±5°, another for each image, a positive one counter-clockwise."""
    plan = epoch_plan(REGULARIZED, 3, 1, 2000)
    assert plan.matrices is not None
    assert not plan.bilinear
    images = mnist.train.images[plan.order]
    angles = np.rad2deg(np.arctan2(plan.matrices[:, 1, 0], plan.matrices[:, 0, 0]))
    warped = warp(torch.from_numpy(images), torch.from_numpy(plan.matrices), plan.bilinear)
    # The angle read back from fixed point is off by 1e-3 degrees: one pixel in some thousands may move.
    assert different(warped, by_pillow(images, angles)) < 1e-3 * warped.numel()
    assert np.abs(angles).max() == pytest.approx(5, abs=0.02)


def test_any_transform_by_nearest_neighbour_pixel_for_pixel(mnist: Mnist):
    images = mnist.train.images[:2000]
    matrices = draw_matrices(WIDE, len(images), np.random.default_rng(1))
    assert matrices is not None
    warped = warp(torch.from_numpy(images), torch.from_numpy(matrices), False)
    expected = [
        pillow_transform(*pair, Image.Resampling.NEAREST) for pair in zip(images, matrices, strict=True)
    ]
    assert different(warped, np.stack(expected)) == 0


def pillow_transform(image: Any, matrix: Any, resample: Image.Resampling) -> Any:
    """Pillow's affine transform, whose map takes pixel corners where the plan's takes centres."""
    linear = matrix[:, :2] / 65536
    offset = matrix[:, 2] / 65536 - linear.sum(axis=1) / 2
    data = np.column_stack([linear, offset]).ravel().tolist()
    return np.asarray(Image.fromarray(image).transform((28, 28), Image.Transform.AFFINE, data, resample))


def by_tents(images: Any, matrices: Any) -> Any:
    """Bilinear sampling in float64: each pixel weighs by its tent, max(0, 1 − |distance|), on both axes."""
    rows, columns = np.mgrid[0:28, 0:28]
    grid = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)  # (3, 784)
    x, y = np.moveaxis(matrices / 65536 @ grid, 1, 0) - 0.5  # each (N, 784), in pixel indices
    pixel = np.arange(28)
    weight_x, weight_y = (np.maximum(0, 1 - np.abs(v[..., None] - pixel)) for v in (x, y))
    return np.einsum("npr,nrc,npc->np", weight_y, images.astype(np.float64), weight_x, optimize=True)


@pytest.mark.parametrize("kind", ["digits", "noise"])
def test_bilinear_against_float64(mnist: Mnist, kind: str):
    rng = np.random.default_rng(2)
    images = mnist.train.images[:60] if kind == "digits" else rng.integers(0, 256, (60, 28, 28), np.uint8)
    matrices = draw_matrices(WIDE, len(images), rng)
    assert matrices is not None
    warped = warp(torch.from_numpy(images), torch.from_numpy(matrices), True).numpy()
    assert np.abs(warped.reshape(len(images), -1) - by_tents(images, matrices)).max() < 1e-4


def test_bilinear_against_pillow(mnist: Mnist):
    """Pillow cuts to whole grey values, and repeats the edge outside: so images with a dark edge."""
    images = np.pad(mnist.train.images[:500, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2)))
    matrices = draw_matrices(WIDE, len(images), np.random.default_rng(3))
    assert matrices is not None
    warped = warp(torch.from_numpy(images), torch.from_numpy(matrices), True).numpy()
    pairs = zip(images, matrices, strict=True)
    expected = np.stack([pillow_transform(*pair, Image.Resampling.BILINEAR) for pair in pairs])
    assert np.abs(warped - expected).max() <= 1.001


def test_far_outside_is_background():
    images = np.full((2, 28, 28), 255, np.uint8)
    for shift in (28.0, -28.0):
        ones = np.ones(2)
        matrices = affine_matrices(0 * ones, shift * ones, 0 * ones, ones, 0 * ones)
        for bilinear in (False, True):
            assert warp(torch.from_numpy(images), torch.from_numpy(matrices), bilinear).max() == 0


def test_the_identity_keeps_every_pixel(mnist: Mnist):
    images = mnist.train.images[:50]
    zeros = np.zeros(50)
    matrices = torch.from_numpy(affine_matrices(zeros, zeros, zeros, zeros + 1, zeros))
    for bilinear in (False, True):
        assert different(warp(torch.from_numpy(images), matrices, bilinear), images) == 0
