"""A trained model, ready to be used: digits and probabilities of 28×28 images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from under20k.engine.base import Compute, Engine, Images
from under20k.engine.select import create
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors
from under20k.runs.run import Run


@dataclass(frozen=True)
class Model:
    """A trained model. Images are uint8 (N, 28, 28), light ink on 0, as MNIST's."""

    name: str
    recipe: Recipe
    weights: Tensors = field(repr=False)
    temperature: float = 1.0
    """The logits are divided by it before the softmax, which calibrates the probabilities."""

    def logits(self, images: Images) -> NDArray[np.float32]:
        """Return logits, float32 (N, 10)."""
        return self._engine().logits(images)

    def probabilities(self, images: Images) -> NDArray[np.float64]:
        """Return the probability of each digit, float64 (N, 10)."""
        logits = self.logits(images).astype(np.float64) / self.temperature
        powers = np.exp(logits - logits.max(1, keepdims=True))
        probabilities: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
        return probabilities

    def predict(self, images: Images) -> NDArray[np.uint8]:
        """Return the most probable digits, uint8 (N,)."""
        digits: NDArray[np.uint8] = self.logits(images).argmax(1).astype(np.uint8)
        return digits

    def _engine(self) -> Engine:
        return create(self.recipe, 0, Compute(), weights=self.weights)


def load(model: str | Path) -> Model:
    """Return a trained model: a run folder's."""
    run = Run.open(Path(model))
    return Model(str(model), run.recipe, run.weights())
