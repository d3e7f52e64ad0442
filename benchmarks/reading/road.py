"""Collections of pictures with one digit each, and the way from a picture to 28×28."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.decode import decode
from under20k.data.images.digit_image import digit_image
from under20k.data.images.segment import segments

Picture = NDArray[np.uint8]
"""(H, W), grey."""
Labels = NDArray[np.uint8]
PART = 256
"""Pictures that a process takes at a time."""


@dataclass(frozen=True)
class Collection:
    """Pictures of one digit each."""

    pictures: Sequence[Picture]
    labels: Labels
    """(N,), the digit that each shows."""


@dataclass(frozen=True)
class Brought:
    """What was found in N pictures, brought to 28×28."""

    images: NDArray[np.uint8]
    """(M, 28, 28)."""
    owners: NDArray[np.int64]
    """(M,), the picture that each comes from, 0 to N-1."""

    def single(self, pictures: int) -> NDArray[np.bool_]:
        """Return for each of N pictures whether exactly one thing was found in it, bool (N,)."""
        alone: NDArray[np.bool_] = np.bincount(self.owners, minlength=pictures) == 1
        return alone

    def read(self, values: NDArray[np.integer], labels: Labels) -> NDArray[np.bool_]:
        """Return for each picture whether its digit, and nothing else, was read, bool (N,).

        ``values`` (M,) are what was read of each image.
        """
        right = np.zeros(len(labels), bool)
        right[self.owners[values == labels[self.owners]]] = True
        return right & self.single(len(labels))


def found_in(picture: Picture) -> list[NDArray[np.uint8]]:
    """Return what is found in a picture, each brought to uint8 (28, 28)."""
    return [digit_image(segment.ink) for segment in segments(decode(picture))]


def _found_in_all(pictures: Sequence[Picture]) -> list[list[NDArray[np.uint8]]]:
    return [found_in(picture) for picture in pictures]


def brought(pictures: Sequence[Picture], jobs: int = 1) -> Brought:
    """Bring what is found in pictures to 28×28, in ``jobs`` processes."""
    parts = [pictures[start : start + PART] for start in range(0, len(pictures), PART)]
    if jobs > 1 and len(parts) > 1:
        with ProcessPoolExecutor(jobs, get_context("forkserver")) as pool:
            found = [each for part in pool.map(_found_in_all, parts) for each in part]
    else:
        found = _found_in_all(pictures)
    owners = [owner for owner, images in enumerate(found) for _ in images]
    images = [image for each in found for image in each]
    stacked = np.stack(images) if images else np.zeros((0, 28, 28), np.uint8)
    return Brought(stacked, np.array(owners, np.int64))
