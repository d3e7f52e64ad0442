"""Calibrate probabilities: the temperature of the softmax, and how far confidence is from accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15
LOWEST, HIGHEST = 0.05, 20.0
"""Between which a temperature is sought."""


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities, float64 (N, 10), of logits (N, 10) divided by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return probabilities


def negative_log_likelihood(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0
) -> float:
    """Return the mean of -log of the probability of each label, in nats.

    Args:
        logits: (N, 10).
        labels: (N,), 0–9.
        temperature: Divides the logits.
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    own = scaled[np.arange(len(labels)), labels]
    return float((np.log(np.exp(scaled).sum(1)) - own).mean())


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature, 0.05–20, at which the labels are most likely."""
    from scipy.optimize import minimize_scalar  # slow to import, and nobody who reads digits needs it

    found = minimize_scalar(
        lambda power: negative_log_likelihood(logits, labels, float(np.exp(power))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the expected calibration error, 0–1.

    The images are sorted by confidence, their greatest probability, into 15 bins of equal width. The error
    is the mean of |accuracy - confidence| over the bins, weighted by their images.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    # A bin includes its upper limit, so that a confidence of 1 is in the last.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))
