"""The assignment's split of the 60,000 images into train and validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.limits import TRAIN_IMAGES, VALIDATION_IMAGES

SEED = 42


def permutation(count: int, seed: int) -> NDArray[np.int64]:
    """Return ``torch.randperm(count)`` under ``torch.Generator().manual_seed(seed)``, (count,) int64.

    Bit-exact, without torch, for ``count`` below 2³² / 20 (torch uses another algorithm from there) and
    ``seed`` below 2³².
    """
    # Torch's generator is MT19937 with its original seeding, which only NumPy's legacy generator uses.
    # Over the full range, randint returns the raw 32-bit draws.
    raw = np.random.RandomState(seed).randint(2**32, size=max(count - 1, 0), dtype=np.uint32)
    order = list(range(count))  # faster than an array for swapping single elements
    for i, draw in enumerate(raw.tolist()):
        j = i + draw % (count - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def split_indices(
    count: int = TRAIN_IMAGES + VALIDATION_IMAGES,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the train images (50,000,) and the validation images (the rest), in order.

    They equal ``torch.utils.data.random_split(mnist, [50000, 10000], torch.Generator().manual_seed(42))``.
    """
    order = permutation(count, SEED)
    return order[:TRAIN_IMAGES], order[TRAIN_IMAGES:]
