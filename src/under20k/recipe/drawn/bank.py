"""A bank of drawn digits, balanced over the ten digits and their forms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.architecture import IMAGE_SIDE
from under20k.recipe.drawn.form import Form
from under20k.recipe.drawn.forms import FORMS
from under20k.recipe.drawn.path import draw_pieces
from under20k.recipe.drawn.pen import draw_images
from under20k.recipe.seeds import check_seed

CHUNK = 64
"""Digits drawn at once, so that the samples of a piece fit into a processor's cache."""


def drawn_digits(
    count: int, seed: int, forms: tuple[Form, ...] = FORMS
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw digits as people write them; the same arguments give the same bytes on every machine.

    Args:
        count: N, the number of digits; each of the ten occurs equally often, or once more.
        seed: of all randomness.
        forms: the ways of writing to choose from.

    Returns:
        uint8 images (N, 28, 28), light ink on 0, and uint8 labels (N,), both in random order.
    """
    order, *streams = np.random.SeedSequence(check_seed(seed)).spawn(1 + len(forms))
    images = np.empty((count, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    labels = np.empty(count, np.uint8)
    positions = np.random.default_rng(order).permutation(count)
    drawn = 0
    for form, stream, share in zip(forms, streams, _shares(count, forms), strict=True):
        generator = np.random.default_rng(stream)
        for first in range(0, share, CHUNK):
            size = min(CHUNK, share - first)
            here = positions[drawn : drawn + size]
            images[here] = draw_images(form, draw_pieces(form, size, generator), generator)
            labels[here] = form.digit
            drawn += size
    return images, labels


def _shares(count: int, forms: tuple[Form, ...]) -> list[int]:
    """Return the number of digits of each form, by its weight among those of the same digit."""
    digits = sorted({form.digit for form in forms})
    shares = []
    for form in forms:
        index = digits.index(form.digit)
        of_digit = (count * (index + 1)) // len(digits) - (count * index) // len(digits)
        alike = [other for other in forms if other.digit == form.digit]
        place = alike.index(form)
        before, upto = (sum(other.weight for other in alike[:end]) for end in (place, place + 1))
        whole = sum(other.weight for other in alike)
        shares.append(round(of_digit * upto / whole) - round(of_digit * before / whole))
    return shares
