"""Decode a picture to its luminance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from under20k.errors import UserError

Grey = NDArray[np.float32]
"""(H, W) luminance, 0 black to 255 white."""


class UnreadablePicture(UserError):
    """A picture cannot be decoded."""


def decode(source: Path | Image.Image | NDArray[np.generic]) -> Grey:
    """Return the luminance of a picture, upright, float32 (H, W) in 0–255.

    Raises UnreadablePicture if it is no picture, damaged, empty or too large.
    """
    if isinstance(source, np.ndarray):
        return np.asarray(source, np.float32)
    try:
        picture = source if isinstance(source, Image.Image) else Image.open(source)
        picture = ImageOps.exif_transpose(picture)
        return np.asarray(picture.convert("L"), np.float32)
    except (OSError, UnidentifiedImageError) as error:
        raise UnreadablePicture(f"{source} is not a picture: {error}") from error
