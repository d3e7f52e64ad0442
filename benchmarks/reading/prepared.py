"""Collections whose pictures were brought to 28×28, for any model to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reading.road import Brought, Collection, Labels, alone, brought
from under20k.deploy.believe import believed
from under20k.deploy.model import Model

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Prepared:
    """A collection of pictures of one digit each."""

    name: str
    labels: Labels
    """(N,), of the pictures."""
    found: Brought

    def right(self, probabilities: Probabilities) -> NDArray[np.int64]:
        """Return the images that are the only digit of their picture and read rightly, as indices.

        ``probabilities`` (M, 10) are those of all images.
        """
        kept = self.found.kept(probabilities)
        owners = self.found.owners[kept]
        single = alone(owners, len(self.labels))[owners]
        right: NDArray[np.int64] = kept[single & (probabilities[kept].argmax(1) == self.labels[owners])]
        return right

    def score(self, model: Model) -> dict[str, Any]:
        """Return the number of pictures, of those with one digit found, of those read, and of those refused.

        Refused are those that would have been read.
        """
        probabilities = of_images(model, self.found.images)
        right = self.right(probabilities)
        kept = self.found.owners[self.found.kept(probabilities)]
        read = believed(probabilities[right], self.found.images[right], model.threshold).sum()
        return {
            "pictures": len(self.labels),
            "found": int(alone(kept, len(self.labels)).sum()),
            "read": int(read),
            "refused": len(right) - int(read),
        }


def of_images(model: Model, images: NDArray[np.uint8]) -> Probabilities:
    """Return the calibrated probabilities (N, 10) of images, which may be none."""
    return model.probabilities(images) if len(images) else np.zeros((0, 10))


def prepared(collections: Mapping[str, Collection], jobs: int) -> list[Prepared]:
    """Bring the pictures of all collections to 28×28, together, in ``jobs`` processes."""
    found = brought([picture for each in collections.values() for picture in each.pictures], jobs)
    every, first = [], 0
    for name, each in collections.items():
        last = first + len(each.labels)
        own = (found.owners >= first) & (found.owners < last)
        uncertain = {
            owner - first: segments for owner, segments in found.uncertain.items() if first <= owner < last
        }
        part = Brought(found.images[own], found.owners[own] - first, uncertain)
        every.append(Prepared(name, each.labels, part))
        first = last
    return every
