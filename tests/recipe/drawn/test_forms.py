"""The forms: several for each digit, all of which a network trained on MNIST alone mostly reads."""

from collections import Counter

import numpy as np
import pytest

from under20k.recipe.drawn import drawn_digits
from under20k.recipe.drawn.forms import FORMS


def test_every_digit_has_at_least_six_forms_of_different_names():
    names = Counter((form.digit, form.name) for form in FORMS)
    assert max(names.values()) == 1
    assert min(Counter(form.digit for form in FORMS).values()) >= 6


def test_no_form_is_most_of_a_digit():
    for digit in range(10):
        weights = [form.weight for form in FORMS if form.digit == digit]
        assert max(weights) / sum(weights) <= 0.25


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.digit} {form.name}")
def test_a_form_varies_and_shows_ink(form):
    images, labels = drawn_digits(20, 4, (form,))
    assert (labels == form.digit).all()
    assert len({image.tobytes() for image in images}) == 20
    assert images.max((1, 2)).min() > 90
    assert np.count_nonzero(images > 60, axis=(1, 2)).min() > 15
