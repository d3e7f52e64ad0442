"""The split of the specification: which of the 60,000 images train and which validate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from under20k.recipe.limits import TRAIN_IMAGES, VALIDATION_IMAGES

SEED = 42


def permutation(count: int, seed: int) -> NDArray[np.int64]:
    """What ``torch.randperm(count)`` gives under ``torch.Generator().manual_seed(seed)``: (count,) int64.

    Bit for bit, without torch, for ``count`` below 2³² / 20 (from there torch draws otherwise) and ``seed``
    below 2³².
    """
    # Torch's generator is MT19937 under its original seeding, which only NumPy's legacy generator uses.
    # Over the full range, randint gives the raw 32-bit draws.
    raw = np.random.RandomState(seed).randint(2**32, size=max(count - 1, 0), dtype=np.uint32)
    order = list(range(count))  # swapping single elements is faster in a list than in an array
    for i, draw in enumerate(raw.tolist()):
        j = i + draw % (count - i)
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def split_indices(
    count: int = TRAIN_IMAGES + VALIDATION_IMAGES,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the train images (50,000,) and of the validation images (the rest), in their order.

    The same as ``torch.utils.data.random_split(mnist, [50000, 10000], torch.Generator().manual_seed(42))``.
    """
    order = permutation(count, SEED)
    return order[:TRAIN_IMAGES], order[TRAIN_IMAGES:]
