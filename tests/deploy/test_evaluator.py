"""The bits of an image's logits do not depend on its company."""

import numpy as np
import pytest

from under20k.deploy.model import load
from under20k.engine import isa


@pytest.mark.skipif(bool(isa.unavailable()), reason="torch promises no such thing")
def test_an_image_has_the_same_logits_beside_any_others(mnist):
    model, images = load("robust"), mnist.validation.images[:40]
    together = model.logits(images)
    for first in (0, 5, 20):
        for count in (1, 8, 9, 17):
            assert np.array_equal(
                model.logits(images[first : first + count]), together[first : first + count]
            )
    assert model.logits(images[:0]).shape == (0, 10)
