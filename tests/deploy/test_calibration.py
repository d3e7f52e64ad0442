"""deploy/calibration.py: expected calibration error by hand, the temperature against a search."""

import numpy as np
import pytest
from scipy import special

from under20k.deploy.calibration import calibration_error, fit_temperature, negative_log_likelihood, softmax


def two_digits(confidence: float, images: int) -> np.ndarray:
    """Return probabilities (N, 10): ``confidence`` for digit 0, the rest for digit 1."""
    return np.tile([confidence, 1 - confidence, *[0.0] * 8], (images, 1))


def test_the_error_is_zero_where_confidence_is_accuracy():
    labels = np.array([0, 0, 0, 1])
    assert calibration_error(two_digits(0.75, 4), labels) == pytest.approx(0)
    assert calibration_error(two_digits(1.0, 3), np.zeros(3, int)) == 0


def test_the_error_by_hand():
    # Four at 0.7, of which two are right: a gap of 0.2. Six at 0.9, all right: a gap of 0.1.
    probabilities = np.concatenate([two_digits(0.7, 4), two_digits(0.9, 6)])
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 0])
    assert calibration_error(probabilities, labels) == pytest.approx((4 * 0.2 + 6 * 0.1) / 10)


def test_gaps_of_opposite_sign_cancel_within_a_bin_and_not_between_bins():
    # 0.95 and 0.96 are in one bin (14/15 to 1), 0.9 and 0.96 in two.
    labels = np.array([0, 1])
    within = np.concatenate([two_digits(0.95, 1), two_digits(0.96, 1)])
    between = np.concatenate([two_digits(0.9, 1), two_digits(0.96, 1)])
    assert calibration_error(within, labels) == pytest.approx(abs(0.05 - 0.96) / 2)
    assert calibration_error(between, labels) == pytest.approx((0.1 + 0.96) / 2)


def test_the_temperature_is_the_best_of_many():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2000, 10))
    labels = np.array([random.choice(10, p=row) for row in special.softmax(logits / 1.7, 1)])
    found = fit_temperature(logits, labels)
    candidates = np.linspace(1, 3, 2001)
    losses = [-special.log_softmax(logits / at, 1)[np.arange(2000), labels].mean() for at in candidates]
    assert found == pytest.approx(candidates[np.argmin(losses)], abs=0.002)
    assert found == pytest.approx(1.7, abs=0.1), "the temperature with which the labels were drawn"
    assert negative_log_likelihood(logits, labels, found) == pytest.approx(min(losses), abs=1e-6)


def test_calibration_scales_with_the_logits():
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (500, 10))
    labels = np.where(random.random(500) < 0.8, logits.argmax(1), 0)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-3)


def test_probabilities_are_softmax_at_any_magnitude():
    logits = np.array([[1000.0, 999, *[0.0] * 8]])
    assert softmax(logits, 2.0) == pytest.approx(special.softmax(logits / 2, 1))


def test_a_net_that_is_always_right_becomes_certain():
    logits = np.eye(10) * 5
    temperature = fit_temperature(logits, np.arange(10))
    assert softmax(logits, temperature).max(1) == pytest.approx(1, abs=1e-9)
