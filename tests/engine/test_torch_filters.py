"""Filters in PyTorch, bit by bit as the recipe defines them, and the whole grey levels that they take."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from under20k.data import Mnist
from under20k.engine.torch_filters import filtered
from under20k.engine.torch_transforms import displacements, warp
from under20k.recipe import filters
from under20k.recipe.recipe import Augmentation
from under20k.recipe.transforms import draw_grids, draw_matrices

WIDE = Augmentation(rotation_deg=20, translation_px=3, scale=0.2, shear=0.2, elastic_px=3)


@settings(deadline=None)
@given(st.floats(0, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32), st.integers(0, 255))
def test_filters_are_bit_exact(stroke_px, low_resolution, bitmap, seed, floor):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    images[images < floor] = 0
    augmentation = Augmentation(stroke_px=stroke_px, low_resolution=low_resolution, bitmap=bitmap)
    drawn = filters.draw_filters(augmentation, len(images), generator)
    if drawn is None:
        return
    found = filtered(torch.from_numpy(images), torch.from_numpy(drawn))
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), filters.filtered(images, drawn))


def test_full_contrast_of_every_value_under_every_largest():
    largest, value = np.mgrid[:256, :256]
    images = np.zeros((256, 28, 28), np.uint8)
    images[:, 0, 0], images.reshape(256, -1)[:, 1:257] = np.arange(256), np.minimum(value, largest)
    everything = np.tile(np.array([0, 8, 0], np.int16), (256, 1))
    found = filtered(torch.from_numpy(images), torch.from_numpy(everything))
    assert np.array_equal(found.numpy(), filters.filtered(images, everything))


def test_bilinear_sampling_to_whole_grey_levels(mnist: Mnist):
    """In units of 1/256, as the plan says, which is at most two levels from full precision."""
    rng = np.random.default_rng(2)
    images = mnist.train.images[:200]
    matrices, grids = draw_matrices(WIDE, len(images), rng), draw_grids(WIDE.elastic_px, len(images), rng)
    assert matrices is not None
    moved = displacements(torch.from_numpy(grids))
    arguments = (torch.from_numpy(images), torch.from_numpy(matrices), True, moved)
    exact, whole = warp(*arguments), warp(*arguments, whole=True)
    assert torch.equal(whole, whole.round())
    assert (whole - exact).abs().max() <= 2.5
    assert abs(float((whole - exact).mean())) < 0.02

    y, x = np.mgrid[:28, :28]
    points = [
        matrices[:, row, :1, None] * x + matrices[:, row, 1:2, None] * y + matrices[:, row, 2:, None]
        for row in (0, 1)
    ] + moved.numpy().swapaxes(0, 1)
    (left, fx), (top, fy) = (np.divmod((axis - 32768) // 256, 256) for axis in points)
    framed = np.pad(images.astype(np.int64), ((0, 0), (1, 1), (1, 1)))

    def pixel(row, column):
        clamped = [np.clip(axis, -1, 28) + 1 for axis in (row, column)]
        return framed[np.arange(len(images))[:, None, None], clamped[0], clamped[1]]

    upper, lower = ((256 - fx) * pixel(row, left) + fx * pixel(row, left + 1) for row in (top, top + 1))
    assert np.array_equal(whole.numpy(), ((256 - fy) * upper + fy * lower + 32768) // 65536)


@pytest.mark.parametrize("whole", [False, True])
def test_nearest_sampling_gives_whole_grey_levels_anyway(mnist: Mnist, whole):
    images = mnist.train.images[:50]
    matrices = draw_matrices(WIDE, len(images), np.random.default_rng(1))
    assert matrices is not None
    warped = warp(torch.from_numpy(images), torch.from_numpy(matrices), False, whole=whole)
    assert torch.equal(warped, warped.round())
