"""Logits from trained weights, for any thread and after a fork.

They are what comes before a softmax, also of a model of the user's that ends in one.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from under20k.engine.base import Compute, Engine, Images
from under20k.engine.select import create
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors

LANES = 16
"""Images that the native engine computes together, at most. Few take another way, with other last bits."""


class Evaluator:
    """An engine for one call at a time, made when it is first needed and again after a fork.

    An image's logits are the same bits, whatever images are beside it.
    """

    def __init__(self, recipe: Recipe, weights: Tensors, compute: Compute) -> None:
        network = recipe.architecture
        if isinstance(network, OwnModel) and network.graph is not None:
            network = replace(network, graph=network.graph.up_to_logits())
        # Without memory for training.
        self._recipe = Recipe(recipe.name, network, batch_size=1, momentum=0.0)
        self._weights, self._compute = weights, compute
        self._engine: Engine | None = None
        self._process = 0
        self._lock = threading.Lock()

    def logits(self, images: Images) -> NDArray[np.float32]:
        """Return logits (N, 10) of uint8 images (N, 28, 28)."""
        padded = np.pad(images, ((0, max(LANES - len(images), 0)), (0, 0), (0, 0)))
        if self._process not in (0, os.getpid()):  # the lock may be held by a thread that was not forked
            self._lock = threading.Lock()
        with self._lock:
            if self._engine is None or self._process != os.getpid():
                self._engine = create(self._recipe, 0, self._compute, weights=self._weights)
                self._process = os.getpid()
            return self._engine.logits(padded)[: len(images)]
