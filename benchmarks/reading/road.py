"""Collections of pictures with one digit each, and the way from a picture to 28×28."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from under20k.data.images.decode import decode
from under20k.data.images.digit_image import digit_image
from under20k.data.images.segment import Segment, segments
from under20k.deploy.choose import candidates, chosen

Picture = NDArray[np.uint8]
"""(H, W), grey."""
Labels = NDArray[np.uint8]
PART = 25
"""Pictures that a process takes at a time."""


@dataclass(frozen=True)
class Collection:
    """Pictures of one digit each."""

    pictures: Sequence[Picture]
    labels: Labels
    """(N,), the digit that each shows."""


@dataclass(frozen=True)
class Brought:
    """What may be digits in N pictures, brought to 28×28."""

    images: NDArray[np.uint8]
    """(M, 28, 28)."""
    owners: NDArray[np.int64]
    """(M,), the picture that each comes from, 0 to N-1, ascending."""
    uncertain: Mapping[int, list[Segment]]
    """What was found in the pictures in which a network has to choose between one digit and several."""

    def kept(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the images that are kept as digits, ascending, of the probabilities (M, 10) of all."""
        certain = ~np.isin(self.owners, list(self.uncertain))
        kept = [*np.flatnonzero(certain)]
        for picture, found in self.uncertain.items():
            own = np.flatnonzero(self.owners == picture)
            kept += [own[index] for index in chosen(found, probabilities[own])]
        return np.array(sorted(kept), np.int64)


def alone(owners: NDArray[np.int64], pictures: int) -> NDArray[np.bool_]:
    """Return for each of N pictures whether exactly one digit comes from it, bool (N,)."""
    single: NDArray[np.bool_] = np.bincount(owners, minlength=pictures) == 1
    return single


def found_in(picture: Picture) -> tuple[list[Segment], list[NDArray[np.uint8]]]:
    """Return what was found in a picture, and its candidates for digits, each brought to uint8 (28, 28)."""
    found = segments(decode(picture))
    return found, [digit_image(each.ink) for each in candidates(found)]


def _found_in_all(pictures: Sequence[Picture]) -> list[tuple[list[Segment], list[NDArray[np.uint8]]]]:
    # Segments are needed, and copied from process to process, only where there is a choice.
    every = [found_in(picture) for picture in pictures]
    return [(found if any(each.parts for each in found) else [], images) for found, images in every]


def brought(pictures: Sequence[Picture], jobs: int = 1) -> Brought:
    """Bring what may be digits in pictures to 28×28, in ``jobs`` processes."""
    parts = [pictures[start : start + PART] for start in range(0, len(pictures), PART)]
    if jobs > 1 and len(parts) > 1:
        with ProcessPoolExecutor(jobs, get_context("forkserver")) as pool:
            every = [each for part in pool.map(_found_in_all, parts) for each in part]
    else:
        every = _found_in_all(pictures)
    owners = [owner for owner, (_, images) in enumerate(every) for _ in images]
    images = [image for _, each in every for image in each]
    stacked = np.stack(images) if images else np.zeros((0, 28, 28), np.uint8)
    uncertain = {owner: found for owner, (found, _) in enumerate(every) if found}
    return Brought(stacked, np.array(owners, np.int64), uncertain)
