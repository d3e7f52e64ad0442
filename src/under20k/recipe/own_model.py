"""A PyTorch model of the user's as a training takes it: its tensors and, where it has one, its graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from under20k.recipe.graph.graph import Graph
from under20k.recipe.graph.node import Shape


@dataclass(frozen=True)
class OwnModel:
    """A model written by its user. The source itself lies in the run folder, not here."""

    name: str
    """The class or function that makes it: ``Net``."""
    target: str
    """Where it came from, as its user named it: ``model.py:Net``."""
    sha256: str
    """Of the source file; empty for an object that has none."""
    arguments: tuple[tuple[str, Any], ...]
    """Of the constructor: names and plain values."""
    tensor_shapes: tuple[tuple[str, Shape], ...]
    """Names and shapes of the floating-point tensors of its ``state_dict``, in its order."""
    trained_names: frozenset[str]
    """Names of those that are trained."""
    macs: int
    receptive_field: int
    graph: Graph | None
    """None where only PyTorch can train it."""
    why: str = ""
    """Why there is no graph: ``Net.forward uses torch.fft``."""

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments)
        return f"{self.name}({arguments})"

    @property
    def parameters(self) -> int:
        """Count the trainable parameters; a tensor of several names counts once."""
        return sum(math.prod(shape) for name, shape in self.tensor_shapes if name in self.trained_names)

    def tensors(self) -> dict[str, Shape]:
        """Return names and shapes of the weights, as in the model's ``state_dict`` (floats only)."""
        return dict(self.tensor_shapes)
