"""benchmarks/reading/small.py: digits in few pixels."""

import numpy as np
import pytest

from benchmarks.reading import small


@pytest.fixture(scope="module")
def rings() -> np.ndarray:
    """Three rings, 20 pixels across, as MNIST's images have them."""
    rows, columns = np.indices((28, 28)) - 13.5
    ring = np.clip(3 - 2 * np.abs(np.hypot(rows, columns) - 8), 0, 1) * 255
    return np.stack([ring.astype(np.uint8)] * 3)


def test_scikit_learns_digits():
    collection = small.load_digits()
    assert len(collection.pictures) == len(collection.labels) == 1797
    assert {picture.shape for picture in collection.pictures} == {(8, 8)}
    assert max(picture.max() for picture in collection.pictures) == 255
    assert np.bincount(collection.labels).min() > 170


def test_every_variant_has_its_size_and_values(rings):
    made = small.variants(rings, np.zeros(3, np.uint8))
    assert len(made) == 3 * 2 * 3
    for (side, bitmap, _), collection in made.items():
        for picture in collection.pictures:
            assert picture.shape == (side, side)
            assert picture.dtype == np.uint8
            assert picture.max() == 255
            if bitmap:
                assert set(np.unique(picture)) == {0, 255}


def test_the_ink_fills_the_picture_within_its_margin(rings):
    ((picture,),) = ([small.in_pixels(small.written_with(rings[0], "as written"), 16, False)],)
    assert not picture[0].any()
    assert picture[1].any()
    assert picture[-2].any()
    assert not picture[-1].any()


def test_a_thick_pen_has_more_ink_than_a_thin_one(rings):
    areas = [small.written_with(rings[0], pen).sum() for pen in ("thin", "as written", "thick")]
    assert areas[0] < 0.8 * areas[1] < areas[1] < 0.8 * areas[2]


def test_no_ink_stays_a_picture():
    assert small.in_pixels(np.zeros((112, 112), bool), 8, True).shape == (8, 8)
