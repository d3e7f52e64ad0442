"""Figures of logits on a set of images: accuracy, loss, precision and recall, confusions. NumPy only.

Shapes: N images, 10 classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from under20k.data.mnist import Split
from under20k.drawing import Drawable
from under20k.formatting import percent
from under20k.recipe.architecture import CLASSES


@dataclass(frozen=True)
class Evaluation(Drawable):
    """A model's figures on one split. Accuracy, precision and recall are fractions, exact counts over N."""

    split: str
    correct: int
    images: int
    loss: float
    """Mean cross-entropy, in nats."""
    confusion: NDArray[np.int64]
    """(10, 10) Number of images by true class (row) and predicted class (column)."""
    logits: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """(N, 10), where they are kept."""
    data: Split | None = field(default=None, repr=False, compare=False)
    """The images and labels, where they are kept."""

    def __repr__(self) -> str:
        counts = f"{self.correct:,} of {self.images:,} images correct, {percent(self.accuracy)}"
        return f"Evaluation({self.split}: {counts})"

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def recall(self) -> NDArray[np.float64]:
        """Return (10,) the fraction of each class's images that are predicted as it; 0 if there are none."""
        return _fraction(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Return (10,) the fraction of images predicted as each class that are of it; 0 if there are none."""
        return _fraction(self.confusion.diagonal(), self.confusion.sum(axis=0))

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "split": self.split,
            "images": self.images,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "loss": self.loss,
            "precision": self.precision.tolist(),
            "recall": self.recall.tolist(),
            "confusion": self.confusion.tolist(),
        }


def evaluate(split: str, logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Evaluation:
    """Compute the figures of a model on a split.

    Args:
        split: its name.
        logits: (N, 10) of its images.
        labels: (N,) in 0–9.
    """
    predicted = logits.argmax(axis=1)
    pairs = labels.astype(np.int64) * CLASSES + predicted
    confusion = np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    own = log_softmax(logits)[np.arange(len(labels)), labels]
    return Evaluation(split, int(confusion.trace()), len(labels), float(-own.mean()), confusion)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute log-probabilities (N, 10) in float64; silently NaN where the largest logit is infinite."""
    with np.errstate(invalid="ignore"):
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def logits_of(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits (N, 10) whose softmax are these probabilities (N, 10), of a network that ends in one."""
    logits: NDArray[np.float32] = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return logits


def _fraction(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
