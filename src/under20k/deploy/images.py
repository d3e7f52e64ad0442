"""What a model takes as images, brought to one form."""

from __future__ import annotations

from typing import Any

import numpy as np

from under20k.engine.base import Images
from under20k.errors import UserError
from under20k.recipe.architecture import IMAGE_SIDE as SIDE

ACCEPTED = f"(N, {SIDE}, {SIDE}), (N, 1, {SIDE}, {SIDE}), (N, {SIDE * SIDE}) or ({SIDE}, {SIDE})"
PIXELS = "give integers from 0 (background) to 255 (ink), or floats in 0–1 or 0–255"


def as_images(images: Any) -> Images:
    """Return images as uint8 (N, 28, 28).

    Shapes are those of ``ACCEPTED``; NumPy arrays, PyTorch tensors on the CPU and nested lists are taken.
    Pixels are bool, integers in 0–255, or floats: in 0–1 if none exceeds 1, else in 0–255, and rounded.
    Raises UserError for anything else.
    """
    try:
        array = np.asarray(images)
    except Exception as error:  # such as lists of unequal lengths, or a tensor on a GPU
        raise UserError(
            f"images: a {type(images).__name__} is no array: {error}; expected {ACCEPTED}"
        ) from None
    if array.dtype.kind not in "buif":
        raise UserError(f"images are {array.dtype}, not numbers; {PIXELS}")
    shape = array.shape
    if shape == (SIDE, SIDE):
        array = array[None]
    elif len(shape) == 4 and shape[1:] == (1, SIDE, SIDE):
        array = array[:, 0]
    elif len(shape) == 2 and shape[1] == SIDE * SIDE:
        array = array.reshape(-1, SIDE, SIDE)
    elif len(shape) != 3 or shape[1:] != (SIDE, SIDE):
        raise UserError(
            f"images have the shape {shape}; expected {ACCEPTED}; under20k.read takes pictures of any size"
        )
    return np.ascontiguousarray(_pixels(array))


def _pixels(array: np.ndarray[Any, Any]) -> Images:
    """Return numbers as uint8. Raises UserError if they cannot be grey levels."""
    if array.dtype == bool:
        return np.where(array, np.uint8(255), np.uint8(0))
    if not array.size:
        return array.astype(np.uint8)
    lowest, highest = array.min(), array.max()
    if not (lowest >= 0 and highest <= 255):  # NaN fails, too
        raise UserError(f"images have pixels from {lowest:g} to {highest:g}; not normalised, {PIXELS}")
    if array.dtype.kind == "f":
        array = np.rint(array * 255 if highest <= 1 else array)
    elif highest == 1:
        raise UserError("images have integers of 0 and 1 alone; give bool or float where 1 is full ink")
    pixels: Images = array.astype(np.uint8, copy=False)
    return pixels
