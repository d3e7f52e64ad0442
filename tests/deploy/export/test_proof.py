"""A proof finds every way in which an export may differ from the engine."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from under20k.data import Split
from under20k.deploy.calibration import softmax
from under20k.deploy.export.proof import Measured, Proof, prove
from under20k.deploy.export.tolerance import FP32, INT8, Tolerance

N = 10_000
SPAN = 20.0


@dataclass
class Engine:
    """Stands for a model: it knows its logits."""

    scores: np.ndarray = field(repr=False)
    temperature: float = 1.5
    name: str = "stand-in"

    def logits(self, images):
        assert len(images) == len(self.scores)
        return self.scores

    def probabilities_of(self, logits):
        return softmax(logits, self.temperature)


@pytest.fixture
def scores() -> np.ndarray:
    """Logits from 0 to 20 whose largest is ahead by 2 at least."""
    scores = np.random.default_rng(0).uniform(0, 15, (N, 10)).astype(np.float32)
    scores[np.arange(N), np.arange(N) % 10] = 17
    scores[0, 0], scores[1, 0] = SPAN, 0
    return scores


def proof_of(
    ours: np.ndarray | None, engine: np.ndarray, tolerance: Tolerance = FP32, *, wrong: int = 0, **values
) -> Proof:
    """The proof of logits against the engine's; of the labels, the last ``wrong`` are not what it says."""
    labels = (engine.argmax(1)).astype(np.uint8)
    labels[N - wrong :] = (labels[N - wrong :] + 1) % 10
    validation = Split("validation", np.zeros((N, 28, 28), np.uint8), labels)
    measured = Measured("by hand", 1e-6, ours, **values)
    return prove("x", Engine(engine), measured, validation, size_bytes=99, tolerance=tolerance)


def test_equal_logits_pass(scores):
    proof = proof_of(scores.copy(), scores, wrong=54)
    assert proof.passed
    assert (proof.largest_logit_difference, proof.changed, proof.ties, proof.faults) == (0, 0, 0, ())
    assert proof.accuracy == proof.engine_accuracy == 0.9946
    assert (proof.model, proof.format, proof.size_bytes, proof.latency_s) == ("stand-in", "x", 99, 1e-6)


@pytest.mark.parametrize(("difference", "passes"), [(0.9e-4, True), (1.1e-4, False)])
def test_a_difference_counts_by_the_range_of_the_logits(scores, difference, passes):
    ours = scores.copy()
    ours[5, 3] += difference * SPAN
    proof = proof_of(ours, scores)
    assert proof.passed is passes
    assert proof.largest_logit_difference == pytest.approx(difference, rel=0.02)
    assert passes or "a logit differs by 0.00011 of their range; at most 0.0001 is allowed" in proof.faults[0]


@pytest.mark.parametrize(("gap", "ties"), [(1e-4, 1), (1e-2, 0)])
def test_only_a_tie_may_change(scores, gap, ties):
    engine = scores.copy()
    engine[7, 3] = engine[7, 7] - gap
    ours = engine.copy()
    ours[7, 3] += 2 * gap
    loose = Tolerance(logit_relative=1)
    proof = proof_of(ours, engine, loose)
    assert (proof.changed, proof.ties) == (1, ties)
    assert proof.passed is bool(ties)
    assert ties or proof.faults == ("1 predictions change that are no ties; none may",)
    assert proof_of(ours, engine, replace(loose, may_change=True)).passed


@pytest.mark.parametrize(("lost", "passes"), [(5, True), (6, False)])
def test_int8_may_lose_five_images(scores, lost, passes):
    ours = scores.copy()
    ours[20 : 20 + lost] = np.roll(ours[20 : 20 + lost], 1, axis=1)
    proof = proof_of(ours, scores, INT8)
    assert proof.passed is passes
    assert (proof.accuracy, proof.engine_accuracy) == (1 - lost / N, 1)
    fault = "validation accuracy falls from 100.00% to 99.94%; at most 0.05 points are allowed"
    assert proof.faults == (() if passes else (fault,))


@pytest.mark.parametrize("tolerance", [FP32, INT8])
def test_what_is_not_a_number_fails(scores, tolerance):
    ours = scores.copy()
    ours[:, :] = np.nan
    assert not proof_of(ours, scores, tolerance).passed


def test_probabilities_must_be_the_softmax_of_the_logits(scores):
    right, forgotten = softmax(scores, 1.5), softmax(scores, 1.0)
    assert proof_of(scores, scores, probabilities=right).passed
    proof = proof_of(scores, scores, probabilities=forgotten)
    assert "differs from the softmax of the logits" in proof.faults[0]
    assert "the probabilities differ by" in proof.faults[1]
    assert right.sum(1) == pytest.approx(np.ones(N))


def test_probabilities_alone_are_compared_too(scores):
    proof = proof_of(None, scores, probabilities=softmax(scores, 1.5).astype(np.float32))
    assert proof.passed
    assert 0 < proof.largest_logit_difference < 1e-6
    assert not proof_of(None, scores, probabilities=softmax(scores, 1.0)).passed
    with pytest.raises(ValueError, match="x gave None"):
        proof_of(None, scores)


def test_json_holds_everything(scores):
    proof = proof_of(scores, scores, extra={"flash": 20_000}, size_bytes=5)
    values = json.loads(json.dumps(proof.to_dict(), allow_nan=False))
    assert values["tolerance"] == {
        "logit_relative": 1e-4,
        "accuracy": None,
        "may_change": False,
        "probability": 1e-4,
    }
    assert values["extra"] == {"flash": 20_000}
    assert values["size_bytes"] == 5  # what the runtime needs, where that is not the files
    assert (values["passed"], values["not_run"], values["runtime"]) == (True, "", "by hand")
