import numpy as np
import pytest

from tests.support.drawn_pages import Sheet
from under20k.data.images.page_ink import page_ink


def written():
    sheet = Sheet(240, 320)
    for number, value in enumerate((5, 2, 7, 4)):
        sheet.digit(value, 30 + 70 * number, 80, 60, 6)
    return sheet.grey


def agrees(mask, true):
    return (mask & true).sum() / (mask | true).sum()


def test_ink_is_found_under_uneven_light():
    grey = written()
    light = np.linspace(1, 0.35, 320)[None] * np.where(np.arange(240) < 130, 1, 0.7)[:, None]
    assert agrees(page_ink((grey * 0.8 + 51) * light).mask, grey < 128) > 0.8


def test_ink_is_found_light_on_dark():
    grey = written()
    assert agrees(page_ink(255 - grey * 0.8).mask, grey < 128) > 0.85


def test_single_specks_are_no_ink():
    grey = written()
    random = np.random.default_rng(0)
    specked = np.where(random.random(grey.shape) < 0.01, random.choice([0, 255], grey.shape), grey)
    mask = page_ink(specked.astype(np.float32)).mask
    assert (mask & (grey > 128)).sum() < 0.02 * (grey > 128).sum()


@pytest.mark.parametrize("side", [2049, 5000])
def test_a_large_picture_is_reduced(side):
    grey = np.full((100, side), 200, np.float32)
    ink = page_ink(grey)
    assert ink.factor == -(-side // 2048)
    assert ink.mask.shape[1] == -(-side // ink.factor)
    assert not ink.mask.any()


@pytest.mark.parametrize("width", [4, 12, 24])
def test_a_dark_border_does_not_make_paper_light_ink(width):
    picture = np.full((330, 490), 235, np.float32)
    picture[:width] = picture[:, :width] = picture[:, -width:] = 40
    assert not page_ink(picture).mask[40:-10, 40:-40].any()
    picture[100:200, 200:206] = 60
    assert page_ink(picture).mask[110:190, 202:204].all()
