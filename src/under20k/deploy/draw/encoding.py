"""Weights as text, for ``page/weights.js``, which decodes them."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def encoded(values: NDArray[np.float32]) -> str:
    """Return float32 values (N,) as text."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
