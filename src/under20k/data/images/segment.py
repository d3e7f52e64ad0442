"""Find the digits of a picture, in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from under20k.data.images.decode import Grey

Ink = NDArray[np.float32]
"""(H, W) ink, 0 background to 255 full ink."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright picture; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Segment:
    """What may be a digit: its place, and its ink without that of its neighbours."""

    box: Box
    ink: Ink
    """(H, W), of the box."""
    line: int
    """Line of the page, counted from 0."""


def segments(grey: Grey) -> list[Segment]:
    """Return what may be digits in a picture (H, W), lines from top to bottom, left to right within."""
    ink = 255 - grey if np.median(grey) > 127 else grey
    labels, _ = ndimage.label(ink > 127, np.ones((3, 3)))
    found = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        own = np.where(labels[rows, columns] == label, ink[rows, columns], 0).astype(np.float32)
        found.append(Segment(Box(columns.start, rows.start, columns.stop, rows.stop), own, 0))
    return sorted(found, key=lambda segment: segment.box.left)
