"""Pixels of the pen, against areas computed by geometry."""

import numpy as np
import pytest

from under20k.recipe.drawn.form import Form
from under20k.recipe.drawn.path import draw_pieces
from under20k.recipe.drawn.pen import LONGER_SIDE, draw_images


def drawn(pen_px: float, digits: int = 200, stretch: float = 1.0):
    form = Form(
        *(1, "stem", "0,0 0,100"),
        pen_px=(pen_px, pen_px),
        slant=(0, 0),
        noise=0,
        width=(1, 1),
        stretch=stretch,
    )
    generator = np.random.default_rng(2)
    return draw_images(form, draw_pieces(form, digits, generator), generator)


@pytest.mark.parametrize("pen_px", [0.5, 1.0, 2.0, 4.0])
def test_the_ink_of_a_line_is_its_length_times_the_pen(pen_px: float):
    images = drawn(pen_px)
    area = images.sum((1, 2)) / np.maximum(images.max((1, 2)), 1)
    # Blur lowers the maximum of thin lines; pressure and the ends change the area a little.
    assert np.median(area) == pytest.approx(2 * pen_px * LONGER_SIDE, rel=0.25)


def test_a_stretched_line_is_a_block():
    plain, stretched = (
        (images > images.max((1, 2), keepdims=True) / 2).any(1).sum(1).max()
        for images in (drawn(2.0), drawn(2.0, stretch=3.0))
    )
    assert plain <= 7
    assert 10 <= stretched <= 18


def test_ink_is_strong_but_not_the_same_for_all():
    brightest = drawn(2.0).max((1, 2))
    assert brightest.min() > 180
    assert brightest.max() == 255
    assert len(set(brightest.tolist())) > 10
