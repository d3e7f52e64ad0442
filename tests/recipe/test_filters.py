"""Filters against SciPy's morphology and Pillow's resampling, and how they are drawn."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import generate_binary_structure, grey_dilation, grey_erosion, label

from under20k.data import Mnist
from under20k.recipe.filters import (
    BITMAP_FIRST,
    BITMAP_LOW,
    HIGHEST_SIDE,
    LOWEST_SIDE,
    bilevel,
    draw_filters,
    filtered,
    resampling,
    stretched,
    thickened,
    thinned,
    with_strokes,
)
from under20k.recipe.named import MINIMAL, REGULARIZED_PLUS
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Augmentation

NOISE = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
SIDES = range(LOWEST_SIDE, HIGHEST_SIDE + 1)
ALL = Augmentation(stroke_px=2, low_resolution=0.5, bitmap=0.25)


def filters(stroke: float = 0, side: int = 0, bitmap: int = 0, count: int = 50) -> Any:
    """The same filters for every image; the stroke in pixels."""
    return np.tile(np.array([stroke * 256, side, bitmap], np.int16), (count, 1))


def by_scipy(operation: Any, images: Any, connectivity: int) -> Any:
    """Grey morphology by the 3×3 cross (1) or square (2), where all outside of an image is 0."""
    footprint = generate_binary_structure(2, connectivity)
    return np.stack(
        [operation(image, footprint=footprint, mode="constant", cval=0) for image in images.astype(np.int32)]
    )


def test_thickening_is_the_mean_of_two_dilations():
    cross, square = (by_scipy(grey_dilation, NOISE, connectivity) for connectivity in (1, 2))
    assert np.abs(thickened(NOISE.astype(np.int32)) - (cross + square) / 2).max() <= 0.5


def test_thinning_takes_from_each_opening_what_erosion_takes():
    expected = np.zeros(NOISE.shape)
    for connectivity in (1, 2):
        eroded = by_scipy(grey_erosion, NOISE, connectivity)
        expected += (NOISE - (by_scipy(grey_dilation, eroded, connectivity) - eroded)) / 2
    assert np.abs(thinned(NOISE.astype(np.int32)) - expected).max() <= 0.5


@pytest.mark.parametrize(("px", "operation"), [(2, thickened), (-2, thinned), (4, thickened), (-4, thinned)])
def test_two_pixels_are_a_round_of_morphology(px, operation):
    expected = NOISE.astype(np.int32)
    for _ in range(abs(px) // 2):
        expected = operation(expected)
    assert np.array_equal(filtered(NOISE, filters(px)), expected)


@pytest.mark.parametrize("px", [-3.25, -1.5, -0.5, 0.25, 1.0, 2.5, 3.75])
def test_a_part_of_a_round_blends(px):
    expected, left = NOISE.astype(np.float64), abs(px)
    while left > 0:
        target = (thickened if px > 0 else thinned)(np.rint(expected).astype(np.int32))
        expected = expected + (target - expected) * min(left, 2) / 2
        left -= 2
    assert np.abs(filtered(NOISE, filters(px)) - expected).max() <= 0.5


@pytest.mark.parametrize("px", [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("degrees", [0, 15, 30, 45, 90])
def test_strokes_change_their_width_by_so_many_pixels_at_any_slant(px, degrees):
    y, x = np.mgrid[:28, :28] - 13.5
    angle = np.deg2rad(degrees)
    from_axis, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bar = np.uint8(np.rint(np.clip(4 - np.abs(from_axis), 0, 1) * 255))[None]  # 7 pixels wide
    middle = np.abs(along) < 6
    before, after = (
        image[0][middle].sum() / 255 / 12 for image in (bar, filtered(bar, filters(px, count=1)))
    )
    assert before == pytest.approx(7, rel=0.1)
    assert after - before == pytest.approx(px, rel=0.3)


def test_hardly_a_digit_breaks_or_fades_away_when_it_is_thinned(mnist: Mnist):
    images = mnist.train.images[:600]
    thin, eroded = filtered(images, filters(-2, count=600)), by_scipy(grey_erosion, images, 2)
    assert 40 < 1 / broken(images, thin) < 70  # "one in fifty"
    assert 0.7 < broken(images, eroded) < 0.8  # "three in four"
    assert (thin.max(axis=(1, 2)) > 200).all()
    assert thin.mean() < 0.7 * images.mean()


def broken(before: Any, after: Any) -> float:
    """The fraction of images whose number of pieces changes."""
    pieces = [np.array([label(i > 64, np.ones((3, 3)))[1] for i in some]) for some in (before, after)]
    return float((pieces[0] != pieces[1]).mean())


def test_hardly_a_digit_breaks_as_a_small_bitmap(mnist: Mnist):
    images = mnist.train.images[:600]
    small = [stretched(low_resolution(images, side)) for side in SIDES]
    at_half = np.mean([broken(images, np.where(some > 127, 255, 0)) for some in small])
    assert 9 < 1 / at_half < 12  # "one in ten"
    assert 25 < 1 / np.mean([broken(images, bilevel(some)) for some in small]) < 40  # "one in thirty"


def low_resolution(images: Any, side: int) -> Any:
    """Images (n, side, side), averaged over the area of each pixel."""
    shrink = resampling()[0, side - LOWEST_SIDE, :side] / 256
    return np.rint(shrink @ images @ shrink.T).astype(np.uint8)


def test_strokes_of_one_pixel_are_as_thin_as_can_be():
    lines = np.zeros((3, 28, 28), np.uint8)
    lines[0, 14, 5:20] = lines[1, 5:20, 14] = 255
    lines[2, range(5, 20), range(5, 20)] = 255
    assert np.array_equal(filtered(lines, filters(-4, count=3)), lines)


@pytest.mark.parametrize("side", SIDES)
def test_resampling_is_the_mean_of_the_area_and_pillows_interpolation(side):
    shrink, enlarge = resampling()[:, side - LOWEST_SIDE].astype(np.float64) / 256
    for image in NOISE[:10]:
        # Each pixel as side × side parts, of which 28 × 28 make one low pixel.
        parts = image.repeat(side, axis=0).repeat(side, axis=1).reshape(side, 28, side, 28)
        small = parts.mean(axis=(1, 3))
        assert np.abs((shrink @ image @ shrink.T)[:side, :side] - small).max() < 2.5
        frame = np.zeros((28, 28))
        frame[:side, :side] = small
        back = Image.fromarray(small.astype(np.float32)).resize((28, 28), Image.Resampling.BILINEAR)
        assert np.abs(enlarge @ frame @ enlarge.T - np.asarray(back)).max() < 2.5


def test_weights_sum_to_one_and_lie_within_the_low_resolution():
    for weights, side in zip(np.moveaxis(resampling(), 1, 0), SIDES, strict=True):
        assert (weights >= 0).all()
        assert weights[0, :side].sum(axis=1).tolist() == [256] * side
        assert weights[1].sum(axis=1).tolist() == [256] * 28
        assert not weights[0, side:].any()
        assert not weights[1, :, side:].any()
        # Mirrored, but for ties in rounding.
        assert np.abs(weights[0, :side] - weights[0, :side][::-1, ::-1]).max() <= 1


@pytest.mark.parametrize("side", [8, 13, 22])
@pytest.mark.parametrize("bitmap", [0, BITMAP_FIRST, BITMAP_LOW])
def test_a_low_resolution_in_float64(mnist: Mnist, side, bitmap):
    """Area average, full contrast, interpolation, with black and white in its place."""
    images = mnist.train.images[:50]
    shrink, enlarge = resampling()[:, side - LOWEST_SIDE].astype(np.float64) / 256
    small = np.floor(shrink @ (bilevel(images) if bitmap == BITMAP_FIRST else images) @ shrink.T + 0.5)
    small = np.floor(small * 255 / small.max(axis=(1, 2), keepdims=True) + 0.5)
    if bitmap == BITMAP_LOW:
        small = np.where(small > 3 / 8 * 255, 255.0, 0)
    expected = enlarge @ small @ enlarge.T
    assert np.abs(filtered(images, filters(0, side, bitmap)) - expected).max() <= 0.5


def test_bitmaps_are_black_and_white_at_three_eighths_of_the_largest_value():
    grey = np.zeros((3, 28, 28), np.uint8)
    grey[0, 0, :4] = 80, 30, 31, 29
    grey[1, 0, :3] = 255, 95, 96
    assert bilevel(grey)[:, 0, :4].tolist() == [[255, 0, 255, 0], [255, 0, 255, 0], [0] * 4]
    for bitmap in (BITMAP_FIRST, BITMAP_LOW):
        assert np.array_equal(filtered(NOISE, filters(bitmap=bitmap)), bilevel(NOISE))


def test_full_contrast_rounds_and_leaves_an_empty_image():
    grey = np.zeros((2, 28, 28), np.uint8)
    grey[0, 0, :4] = 120, 60, 1, 119
    assert stretched(grey)[0, 0, :4].tolist() == [255, 128, 2, 253]
    assert not stretched(grey)[1].any()


def test_filters_of_0_change_nothing_and_the_input_stays():
    before = NOISE.copy()
    assert np.array_equal(filtered(NOISE, filters()), NOISE)
    filtered(NOISE, filters(3, 9, BITMAP_FIRST))
    assert np.array_equal(NOISE, before)


def test_each_image_has_its_own_filters():
    some = Augmentation(stroke_px=4, low_resolution=0.7, bitmap=0.6)
    drawn = draw_filters(some, 50, np.random.default_rng(1))
    assert drawn is not None
    together = filtered(NOISE, drawn)
    for index in range(50):
        alone = slice(index, index + 1)
        assert np.array_equal(filtered(NOISE[alone], drawn[alone]), together[alone])
    assert np.array_equal(with_strokes(NOISE, drawn[:, 0]), filtered(NOISE, drawn * [1, 0, 0]))


def test_filters_are_uniform_and_as_frequent_as_asked_for():
    count = 40_000
    drawn = draw_filters(ALL, count, np.random.default_rng(2))
    assert drawn is not None
    strokes, sides, bitmaps = drawn.T
    quantiles = np.quantile(strokes / 256, np.linspace(0, 1, 21))
    assert np.abs(quantiles - np.linspace(-2, 2, 21)).max() < 0.05
    within = 6 * np.sqrt(0.25 / count)
    assert (sides > 0).mean() == pytest.approx(0.5, abs=within)
    assert set(sides[sides > 0]) == set(SIDES)
    assert np.bincount(sides[sides > 0])[LOWEST_SIDE:] / count * 2 == pytest.approx(1 / 15, abs=2 * within)
    for kind in (BITMAP_FIRST, BITMAP_LOW):
        assert (bitmaps == kind).mean() == pytest.approx(0.125, abs=within)
    assert np.abs(np.corrcoef([strokes, sides > 0, bitmaps > 0]) - np.eye(3)).max() < 6 / np.sqrt(count)


def test_one_setting_leaves_what_the_others_draw():
    def drawn(**settings: float) -> Any:
        return draw_filters(Augmentation(**settings), 1000, np.random.default_rng(3))

    whole = draw_filters(ALL, 1000, np.random.default_rng(3))
    assert whole is not None
    assert np.array_equal(drawn(stroke_px=2)[:, 0], whole[:, 0])
    assert np.array_equal(drawn(low_resolution=0.5)[:, 1], whole[:, 1])
    assert np.array_equal(drawn(bitmap=0.25)[:, 2], whole[:, 2])
    more = drawn(low_resolution=0.75)[:, 1]
    assert np.array_equal(more[whole[:, 1] > 0], whole[whole[:, 1] > 0, 1])
    assert draw_filters(Augmentation(rotation_deg=5), 10, np.random.default_rng(3)) is None


@pytest.mark.parametrize("base", [MINIMAL, REGULARIZED_PLUS])
def test_filters_change_no_other_draw(base):
    plain = epoch_plan(base, 3, 2, 300)
    plan = epoch_plan(base.with_changes(stroke_px=1, low_resolution=0.3, bitmap=0.2), 3, 2, 300)
    assert plain.filters is None
    assert plan.filters is not None
    assert plan.filters.shape == (300, 3)
    for name in ("order", "matrices", "grids", "dropout_seed", "learning_rates"):
        assert np.array_equal(getattr(plain, name), getattr(plan, name))


def test_filters_fade():
    recipe = MINIMAL.with_changes(stroke_px=2, low_resolution=0.8, fade_epochs=1)
    faded, full = epoch_plan(recipe, 0, 8, 5000).filters, epoch_plan(recipe, 0, 7, 5000).filters
    assert faded is not None
    assert full is not None
    assert (np.abs(faded[:, 0]).max(), np.abs(full[:, 0]).max()) == (256, 512)
    assert (faded[:, 1] > 0).mean() == pytest.approx((full[:, 1] > 0).mean() / 2, abs=0.04)
    assert epoch_plan(recipe.with_changes(fade_strength=0), 0, 8, 50).filters is None
