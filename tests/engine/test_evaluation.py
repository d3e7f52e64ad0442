"""Figures of a set of logits, by hand and against torch."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from under20k.engine.evaluation import evaluate, log_softmax


def logits_for(predicted: list[int]) -> np.ndarray:
    """Logits whose largest is at the given class."""
    return np.eye(10, dtype=np.float32)[predicted] * 5


# Three 0s, of which one is taken for a 1; two 1s; one 9 taken for a 0. Nothing else.
LABELS = np.array([0, 0, 0, 1, 1, 9], np.uint8)
PREDICTED = [0, 0, 1, 1, 1, 0]


def test_by_hand():
    found = evaluate("validation", logits_for(PREDICTED), LABELS)
    assert (found.split, found.correct, found.images) == ("validation", 4, 6)
    assert found.accuracy == 4 / 6
    expected = np.zeros((10, 10), int)
    expected[0, 0], expected[0, 1], expected[1, 1], expected[9, 0] = 2, 1, 2, 1
    assert np.array_equal(found.confusion, expected)
    # Of three 0s two were found; of three images taken for 0 two were. Empty classes give 0, not a warning.
    assert found.recall.tolist() == [2 / 3, 1, *[0] * 8]
    assert found.precision.tolist() == [2 / 3, 2 / 3, *[0] * 8]


def test_loss_by_hand():
    # All logits 0: log 10 each; one logit log 9 above the rest: its probability is 9 / 18.
    logits = np.zeros((2, 10), np.float32)
    logits[1, 3] = np.log(9)
    found = evaluate("test", logits, np.array([7, 3], np.uint8))
    assert found.loss == pytest.approx((np.log(10) + np.log(2)) / 2, rel=1e-7)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.sampled_from([0.1, 3.0, 1e4]))
def test_against_torch(seed, count, spread):
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((count, 10)) * spread).astype(np.float32)
    labels = rng.integers(0, 10, count, np.uint8)
    found = evaluate("validation", logits, labels)
    theirs = torch.from_numpy(logits).double()
    y = torch.from_numpy(labels).long()
    assert found.loss == pytest.approx(torch.nn.functional.cross_entropy(theirs, y).item(), rel=1e-12)
    assert found.correct == int((theirs.argmax(1) == y).sum())
    assert np.allclose(log_softmax(logits), theirs.log_softmax(1).numpy(), rtol=1e-12, atol=1e-12)
    counted = np.zeros((10, 10), int)
    for label, row in zip(labels.tolist(), logits, strict=True):
        counted[label, int(np.argmax(row))] += 1
    assert np.array_equal(found.confusion, counted)


def test_losses_closer_than_single_precision():
    """Exactly 40,000 images right but for one: the mean is taken in float64."""
    logits = logits_for([3] * 40_000) * 4
    labels = np.full(40_000, 3, np.uint8)
    labels[0] = 4
    right = np.log1p(9 * np.exp(-20.0))
    found = evaluate("validation", logits, labels)
    assert found.loss == pytest.approx(right + 20 / 40_000, rel=1e-12)
    assert found.correct == 39_999


def test_huge_logits_give_a_finite_loss_and_infinite_ones_none():
    logits = np.zeros((1, 10), np.float32)
    logits[0, 0] = 3e38
    assert evaluate("validation", logits, np.array([1], np.uint8)).loss == pytest.approx(3e38, rel=1e-6)
    for value in (np.inf, np.nan):
        logits[0, 0] = value
        assert np.isnan(evaluate("validation", logits, np.array([1], np.uint8)).loss)


def test_ties_go_to_the_first_class():
    assert evaluate("validation", np.ones((1, 10), np.float32), np.array([0], np.uint8)).correct == 1


def test_plain_values_for_json():
    found = evaluate("validation", logits_for(PREDICTED), LABELS)
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again == {
        "split": "validation",
        "images": 6,
        "correct": 4,
        "accuracy": 4 / 6,
        "loss": found.loss,
        "precision": [2 / 3, 2 / 3, *[0.0] * 8],
        "recall": [2 / 3, 1.0, *[0.0] * 8],
        "confusion": found.confusion.tolist(),
    }
