"""Images from bytes to normalised pixels, each kernel alone, against the plan's transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.single_kernels import ISAS, LANES, assert_within, double, kernels
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.engine.torch_transforms import warp
from under20k.recipe.filters import draw_filters, filtered, resampling
from under20k.recipe.recipe import Augmentation
from under20k.recipe.transforms import displacements, spline_weights

GENERATOR = np.random.default_rng(9)
IMAGES = GENERATOR.integers(0, 256, (20, 28, 28), dtype=np.uint8)
ORDER = np.array([7, 0, 19, 7, 3, 11, 2, 5, 8, 13, 1, 18, 4, 6, 9, 10], np.int32)
# Rotated, sheared and shifted by whole and by broken pixels, in 16.16 fixed point.
MATRICES = (GENERATOR.uniform(-1.2, 1.2, (16, 2, 3)) * [1, 1, 20] * 2**16).astype(np.int32)
MATRICES[0] = np.array([[1, 0, 0], [0, 1, 0]]) * 2**16
GRIDS = GENERATOR.integers(-700, 701, (16, 2, 8, 8)).astype(np.int16)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> str:
    kernels(request.param)
    return str(request.param)


def normalised(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return (pixels / 255 - MEAN) / STANDARD_DEVIATION


@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize("bilinear", [None, False, True])
def test_load_images(isa: str, bilinear: bool | None, elastic: bool) -> None:
    for count in (1, LANES[isa] - 1, LANES[isa]):
        order, matrices, grids = ORDER[:count], MATRICES[:count], GRIDS[:count]
        if bilinear is None:
            pixels = IMAGES[order].astype(np.float64)
        else:
            moved = torch.from_numpy(displacements(grids)) if elastic else None
            warped = warp(torch.from_numpy(IMAGES[order]), torch.from_numpy(matrices), bilinear, moved)
            pixels = warped.double().numpy()
        found = kernels(isa).load_images(
            isa=isa, images=IMAGES, order=order, matrices=None if bilinear is None else matrices,
            grids=grids if elastic and bilinear is not None else None, spline_weights=spline_weights(),
            filters=None, resampling=resampling(), bilinear=bool(bilinear),
        )  # fmt: skip
        # Contraction into multiply-adds rounds an interpolated pixel otherwise than PyTorch does.
        assert_within(found, double(normalised(pixels))[:, None], 2e-6)


@pytest.mark.parametrize("bilinear", [None, False, True])
def test_load_images_through_filters(isa: str, bilinear: bool | None) -> None:
    """The very grey levels that the recipe defines."""
    drawn = draw_filters(Augmentation(stroke_px=4, low_resolution=0.7, bitmap=0.5), 208, GENERATOR)
    assert drawn is not None
    lanes = LANES[isa]
    order, matrices, grids = ORDER[:lanes], MATRICES[:lanes], GRIDS[:lanes]
    grey = torch.from_numpy(IMAGES[order])
    if bilinear is not None:
        moved = torch.from_numpy(displacements(grids))
        grey = warp(grey, torch.from_numpy(matrices), bilinear, moved, whole=True)
    for first in range(0, 208, 16):
        filters = drawn[first : first + lanes]
        found = kernels(isa).load_images(
            isa=isa, images=IMAGES, order=order, matrices=None if bilinear is None else matrices,
            grids=None if bilinear is None else grids, spline_weights=spline_weights(), filters=filters,
            resampling=resampling(), bilinear=bool(bilinear),
        )  # fmt: skip
        levels = (found[:, 0].astype(np.float64) * STANDARD_DEVIATION + MEAN) * 255
        assert np.array_equal(np.rint(levels), filtered(grey.byte().numpy(), filters))
        assert np.abs(levels - np.rint(levels)).max() < 1e-4


def test_load_image(isa: str) -> None:
    found = kernels(isa).load_image(isa=isa, image=IMAGES[0])
    assert_within(found, double(normalised(IMAGES[0].astype(np.float64)))[None, None], 1e-6)
