"""The notation of paths."""

import numpy as np
from numpy.testing import assert_array_equal

from under20k.recipe.drawn.form import Form


def test_knots_corners_and_spread():
    form = Form(4, "a four", "10,0 -2~4,60.5! 50,60~3 / 40,10 40,100")
    first, second = form.strokes
    assert_array_equal(first.knots, [[10, 0], [-2, 60.5], [50, 60]])
    assert_array_equal(first.spread, [[0, 0], [4, 0], [0, 3]])
    assert first.corners == (True, True, True)
    assert_array_equal(second.knots, [[40, 10], [40, 100]])
    assert second.knots.dtype == np.float64


def test_a_knot_is_smooth_unless_it_is_marked_or_an_end():
    (stroke,) = Form(2, "a two", "0,20 30,0 50,30 0,100! 60,100").strokes
    assert stroke.corners == (True, False, False, True, True)
