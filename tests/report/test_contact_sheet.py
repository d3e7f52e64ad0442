import io

import numpy as np
import pytest
from PIL import Image

from under20k.data import Mnist, Split
from under20k.report.contact_sheet import GAP, GUTTER, HEADING, MARGIN, TILE, contact_sheet
from under20k.report.figures import PICTURE_BYTES


def read(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("L"))


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top = MARGIN + HEADING + row * (TILE + GAP)
    left = MARGIN + GUTTER + column * (TILE + GAP)
    return sheet[top : top + TILE, left : left + TILE]


def test_rows_are_classes_and_columns_their_first_images(mnist: Mnist):
    sheet = read(contact_sheet(mnist.train, 5))
    for digit in range(10):
        firsts = mnist.train.images[mnist.train.labels == digit][:5]
        for column, image in enumerate(firsts):
            # The mean of each 2×2 block of the enlarged tile is nearly the pixel it came from.
            shrunk = tile(sheet, digit, column).reshape(28, 2, 28, 2).mean((1, 3))
            assert np.corrcoef(shrunk.ravel(), 255.0 - image.ravel())[0, 1] > 0.97


def test_labels_and_counts_stand_before_each_row(mnist: Mnist):
    sheet = read(contact_sheet(mnist.train, 3))
    gutters = [
        sheet[MARGIN + HEADING + row * (TILE + GAP) :][:TILE, MARGIN : MARGIN + GUTTER] for row in range(10)
    ]
    assert all((gutter < 128).any() for gutter in gutters)
    assert len({gutter.tobytes() for gutter in gutters}) == 10


def test_the_same_images_give_the_same_bytes(mnist: Mnist):
    assert contact_sheet(mnist.train, 4) == contact_sheet(mnist.train, 4)


@pytest.mark.parametrize("samples", [1, 100])
def test_nothing_is_cut_off(samples, mnist: Mnist):
    sheet = read(contact_sheet(mnist.train, samples))
    for edge in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        assert (edge == 255).all()
    assert sheet.shape[1] >= MARGIN + GUTTER + samples * TILE


def test_a_sheet_is_small(mnist: Mnist):
    assert len(contact_sheet(mnist.train, 20)) <= PICTURE_BYTES


def test_a_class_with_fewer_images_than_asked_has_a_short_row():
    images = np.full((3, 28, 28), 255, np.uint8)
    sheet = read(contact_sheet(Split("train", images, np.array([0, 0, 7], np.uint8)), 2))
    assert (tile(sheet, 0, 1) == 0).all()
    assert (tile(sheet, 7, 0) == 0).all()
    assert (tile(sheet, 7, 1) == 255).all()
    assert (tile(sheet, 1, 0) == 255).all()
