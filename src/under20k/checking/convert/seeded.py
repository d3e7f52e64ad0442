"""Make a model for a seed: what its constructor draws follows from that seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

MAX_NUMPY_SEED = 2**32


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """Return what ``make`` gives under ``torch.manual_seed(seed)``, and under NumPy's and Python's."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % MAX_NUMPY_SEED)  # noqa: NPY002 - the one that models use
    return make()
