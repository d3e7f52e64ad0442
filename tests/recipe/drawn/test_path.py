"""The lines of the pen, against SciPy's Bézier curves and the form itself."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from under20k.recipe.drawn.form import Form
from under20k.recipe.drawn.forms import FORMS
from under20k.recipe.drawn.path import CURVED, STRAIGHT, draw_pieces

STILL = {"noise": 0.0, "width": (1.0, 1.0), "slant": (0.0, 0.0)}


def drawn(path: str, digits: int = 50, **settings):
    return draw_pieces(Form(0, "form", path, **settings), digits, np.random.default_rng(1))


def turned_back(points):
    """Undo the rotation of points (2, N, P), given that the first stroke is upright from 0, 0."""
    x, y = points[:, :, -1:]
    length = np.hypot(x, y)
    return np.stack([(points[0] * y - points[1] * x) / length, (points[0] * x + points[1] * y) / length])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.digit} {form.name}")
def test_a_stroke_is_drawn_without_a_break(form: Form):
    pieces = draw_pieces(form, 5, np.random.default_rng(0))
    assert sum(pieces.first) == sum(pieces.last) == len(form.strokes)
    within = ~np.array(pieces.last[:-1])
    assert_array_equal(pieces.end[:, :, :-1][..., within], pieces.start[:, :, 1:][..., within])


def test_the_pen_passes_the_knots():
    # A circle's points keep their distances whatever the rotation.
    pieces = drawn("0,0 30,0 30,30 0,30 0,100", **STILL)
    knots = np.concatenate([pieces.start[:, :, ::CURVED], pieces.end[:, :, -1:]], 2)
    lengths = np.hypot(*np.diff(knots, axis=2))
    assert_allclose(lengths, np.broadcast_to([30, 30, 30, 70], lengths.shape), rtol=1e-6)


def test_a_smooth_knot_has_no_corner():
    def turn(path: str, knot: int):
        pieces = drawn(path, **STILL)
        (x, y), (next_x, next_y) = ((pieces.end - pieces.start)[:, :, piece] for piece in (knot - 1, knot))
        return np.abs(np.arctan2(next_y * x - next_x * y, x * next_x + y * next_y))

    assert turn("0,0 30,0 30,30 0,60", CURVED).max() < np.deg2rad(40)
    assert turn("0,0 30,0! 30,30", STRAIGHT).min() > np.deg2rad(60)


def test_lines_are_straight_but_for_a_little_bow():
    pieces = drawn("0,0 0,100", **STILL)
    assert pieces.start.shape == (2, 50, STRAIGHT)
    assert_allclose(np.hypot(*(pieces.end[:, :, -1] - pieces.start[:, :, 0])), 100)
    assert_allclose(turned_back(pieces.end)[0], 0, atol=1e-9)
    bowed = turned_back(drawn("0,0 0,100", **STILL | {"noise": 0.5}).end)
    assert 0.5 < np.abs(bowed[0, :, 0]).max() < 20


def test_displacements_vary_by_digit_and_grow_with_noise():
    small, large = (drawn("20,0 20,100", noise=noise, width=(1, 1), slant=(0, 0)) for noise in (0.1, 1.0))
    assert np.ptp(small.start[1, :, 0]) < np.ptp(large.start[1, :, 0])


def test_slant_and_width():
    right = drawn("0,0 0,100", noise=0.0, width=(1.0, 1.0), slant=(0.4, 0.4))
    assert (right.end[0, :, -1] < right.start[0, :, 0] - 20).all()  # the top is to the right
    wide = drawn("0,0 100,0", noise=0.0, width=(2.0, 2.0), slant=(0.0, 0.0))
    assert_allclose(np.hypot(*(wide.end[:, :, -1] - wide.start[:, :, 0])), 200)
