"""The flat parameter array that the C++ engine works on, and the description of a training that it takes."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from under20k.engine.isa import _native
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors

Flat = NDArray[np.float32]


class ParameterLayout:
    """Where each tensor of an architecture lies in one flat float32 array, (total,)."""

    def __init__(self, recipe: Recipe) -> None:
        self.shapes = recipe.architecture.tensors()
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        starts = [0, *itertools.accumulate(sizes)]
        self.total = starts[-1]
        self.start = dict(zip(self.shapes, starts, strict=False))
        self.size = dict(zip(self.shapes, sizes, strict=True))

    def read(self, flat: Flat) -> Tensors:
        """Return copies of all tensors in ``flat``."""
        return {
            name: flat[self.start[name] : self.start[name] + self.size[name]].reshape(shape).copy()
            for name, shape in self.shapes.items()
        }

    def write(self, tensors: Tensors, flat: Flat, prefix: str = "") -> None:
        """Copy tensors into the flat array.

        Args:
            tensors: the source; those that are missing are skipped.
            flat: (total,), the destination.
            prefix: of the names in ``tensors``.
        """
        for name in self.shapes:
            if prefix + name in tensors:
                flat[self.start[name] : self.start[name] + self.size[name]] = tensors[prefix + name].ravel()


def training_settings(
    recipe: Recipe, layout: ParameterLayout, threads: int, precision: str, trained: Collection[str]
) -> _native.Training:
    """Describe a recipe's training for C++, whatever the network.

    Args:
        recipe: supplies the optimiser's settings.
        layout: of the recipe's parameters.
        threads: number of CPU threads.
        precision: of products in training, fp32 or bf16.
        trained: names of the tensors that have a gradient.
    """
    ranges = [
        _native.Range(
            begin=layout.start[name],
            end=layout.start[name] + layout.size[name],
            trained=name in trained,
            decayed=recipe.decay_all or len(shape) > 1,  # of convolutions and linear layers
        )
        for name, shape in layout.shapes.items()
    ]
    return _native.Training(
        ranges=ranges,
        parameters=layout.total,
        batch_size=recipe.batch_size,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        label_smoothing=recipe.label_smoothing,
        averages=recipe.average_decay > 0,
        threads=threads,
        bf16=precision == "bf16",
    )
