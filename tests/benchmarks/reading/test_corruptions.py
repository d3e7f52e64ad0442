"""benchmarks/reading/corruptions.py: what each corruption does to an image."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.reading.corruptions import (
    CORRUPTIONS,
    ROTATION_DEGREES,
    SHEAR,
    STRIPE,
    TRANSLATION,
    corrupted,
)


@pytest.fixture(scope="module")
def strokes() -> np.ndarray:
    """Forty images of a thick, upright bar in the middle."""
    images = np.zeros((40, 28, 28), np.uint8)
    images[:, 6:22, 12:16] = 255
    return images


def centre(image: np.ndarray) -> np.ndarray:
    return np.array(ndimage.center_of_mass(image.astype(float)))


def angle_degrees(image: np.ndarray) -> float:
    """Return the direction of the ink's longest extent from the vertical, by its second moments."""
    rows, columns = np.nonzero(image > 127)
    _, vectors = np.linalg.eigh(np.cov(rows, columns))
    down, right = vectors[:, -1]
    return abs(float(np.degrees(np.arctan(right / down))))


def test_they_are_the_fifteen_of_the_paper():
    assert len(CORRUPTIONS) == 15


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_image_changes_but_not_beyond_recognition_and_always_alike(name, strokes):
    before = strokes.copy()
    changed = corrupted(name, strokes)
    assert changed.dtype == np.uint8
    assert changed.shape == strokes.shape
    assert (changed == corrupted(name, strokes)).all()
    assert (strokes == before).all(), "the images handed in are left alone"
    difference = np.abs(changed.astype(float) - strokes).mean((1, 2)) / 255
    assert difference.min() > 0.003
    assert difference.max() < 0.55


def test_shot_noise_keeps_the_mean_and_leaves_black_black(strokes):
    changed = corrupted("shot noise", strokes)
    assert (changed[strokes == 0] == 0).all()
    values = changed[strokes == 255] / 255
    assert 0.7 < values.mean() < 0.95, "a mean of 1, of which what is above white is cut off"
    assert np.isclose(values * 5, np.rint(values * 5), atol=0.02).all(), "whole photons out of five"


def test_impulse_noise_has_two_values_and_its_amount(strokes):
    changed = corrupted("impulse noise", strokes)
    assert set(np.unique(changed)) == {0, 255}
    assert (changed != strokes).mean() == pytest.approx(0.15 / 2, abs=0.01)


def test_motion_blur_keeps_the_ink_that_stays_within_the_image(strokes):
    changed = corrupted("motion blur", strokes)
    assert changed.sum((1, 2)) == pytest.approx(strokes.sum((1, 2)), rel=0.01)
    assert (changed.max((1, 2)) <= 255).all()


def test_rotation_is_within_its_bounds_and_goes_both_ways(strokes):
    changed = corrupted("rotate", strokes)
    angles = [angle_degrees(image) for image in changed]
    assert min(angles) > ROTATION_DEGREES[0] - 3
    assert max(angles) < ROTATION_DEGREES[1] + 3
    tops = [centre(image[:14])[1] for image in changed]
    assert min(tops) < 13 < 14 < max(tops)


def test_shear_moves_rows_in_proportion_to_their_height(strokes):
    for image in corrupted("shear", strokes):
        moves = [centre(image[row : row + 1])[1] - 13.5 for row in (8, 19)]
        assert abs(moves[0] - moves[1]) == pytest.approx(SHEAR * 11, abs=0.5)


def test_scale_shrinks_about_the_centre(strokes):
    for image in corrupted("scale", strokes):
        assert centre(image) == pytest.approx(centre(strokes[0]), abs=0.1)
        rows = np.ptp(np.nonzero(image.max(1) > 127)[0]) + 1
        assert 16 * 0.5 - 1 <= rows <= 16 * 0.75 + 1


def test_translation_is_within_its_bounds_along_both_axes(strokes):
    moves = np.array([centre(image) - centre(strokes[0]) for image in corrupted("translate", strokes)])
    assert (np.abs(moves) > TRANSLATION[0] - 0.1).all()
    assert (np.abs(moves) < TRANSLATION[1] + 0.1).all()
    assert len(np.unique(np.sign(moves), axis=0)) == 4


def test_brightness_lifts_the_background(strokes):
    changed = corrupted("brightness", strokes)
    assert set(np.unique(changed)) == {128, 255}


def test_a_stripe_is_inverted_and_the_rest_untouched(strokes):
    changed = corrupted("stripe", strokes)
    differs = (changed != strokes).any((0, 1))
    assert differs.sum() == STRIPE
    inside = np.flatnonzero(differs)
    assert (changed[:, :, inside] == 255 - strokes[:, :, inside]).all()


def test_fog_is_smooth_and_keeps_the_ink_above_it(strokes):
    black = corrupted("fog", np.zeros_like(strokes)).astype(float)
    steps = np.abs(np.diff(black, axis=2)).mean()
    assert black.std((1, 2)).min() > 3 * steps / 2
    assert black.max() <= 255 * 0.8 / 1.8 + 1


def test_spatter_covers_its_fraction(strokes):
    changed = corrupted("spatter", np.zeros_like(strokes))
    assert (changed > 0).mean() == pytest.approx(0.1, abs=0.01)
    touching = [ndimage.label(image > 0)[1] for image in changed]
    assert np.mean(touching) < 0.5 * (changed > 0).sum() / len(changed), "splotches, not single pixels"


def test_a_dotted_line_falls_apart_and_a_zigzag_does_not(strokes):
    everywhere = np.ones((3, 3))
    parts = {
        name: np.mean([ndimage.label(image > 60, everywhere)[1] for image in corrupted(name, strokes * 0)])
        for name in ("dotted line", "zigzag")
    }
    assert parts["dotted line"] > 4
    assert parts["zigzag"] < 2


def test_edges_of_a_bar_are_its_outline(strokes):
    for image in corrupted("Canny edges", strokes)[:1]:
        assert set(np.unique(image)) == {0, 255}
        assert not image[10:18, 13:15].any(), "nothing within"
        # Nothing further from the bar than its rim.
        assert not image[:4].any()
        assert not image[:, :9].any()
        # The rim is closed: the inside is cut off from the outside.
        labels, _ = ndimage.label(image == 0)
        assert labels[14, 13] != labels[0, 0]
