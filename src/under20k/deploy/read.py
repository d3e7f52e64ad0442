"""Read the digits of a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from under20k.data.images.decode import decode
from under20k.data.images.digit_image import digit_image
from under20k.data.images.segment import Box, segments
from under20k.deploy.model import Model


@dataclass(frozen=True)
class Digit:
    """A digit that was found in a picture."""

    value: int | None
    """None: something was found, but it is not believed to be a digit."""
    probability: float
    """Of the most probable digit, calibrated."""
    runner_up: int
    box: Box
    line: int
    image: NDArray[np.uint8] = field(repr=False)
    """(28, 28), what the network saw."""


def read(picture: Path | Image | NDArray[np.generic], model: Model) -> list[Digit]:
    """Return the digits of a picture in reading order."""
    found = segments(decode(picture))
    if not found:
        return []
    images = np.stack([digit_image(segment.ink) for segment in found])
    probabilities = model.probabilities(images)
    order = probabilities.argsort(1)[:, ::-1]
    return [
        Digit(int(best), float(row[best]), int(second), segment.box, segment.line, image)
        for segment, image, row, (best, second) in zip(
            found, images, probabilities, order[:, :2], strict=True
        )
    ]
