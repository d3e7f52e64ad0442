"""A PyTorch model of the user's with weights that the user trained: what ``predict`` and ``export`` take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from under20k.checking.training.load import own_recipe
from under20k.deploy.model import Model
from under20k.deploy.origin import Origin
from under20k.deploy.weighted import Normalisation, load_weighted
from under20k.engine.base import Compute
from under20k.errors import UserError


@dataclass(frozen=True)
class Trained:
    """A model with the user's weights, and remarks for the user."""

    model: Model
    notes: tuple[str, ...]


def load_trained(
    target: str,
    weights: Path,
    arguments: Mapping[str, object] | None = None,
    normalisation: Normalisation | None = None,
    *,
    compute: Compute = Compute(),
) -> Trained:
    """Run a model's code in a process of its own, and return the model with trained weights.

    Args:
        target: ``file.py:Name``, ``package.module:Name`` or a notebook.
        weights: a file of safetensors, PyTorch or NumPy (``.npz``).
        arguments: of the constructor.
        normalisation: of the training; None finds it.
        compute: engine and threads of the model.

    Raises:
        UserError: there is no such model, its weights are not its own, it has no graph, or no normalisation
            fits.
    """
    found = load_weighted(target, weights, arguments, normalisation)
    if found.model.graph is None:
        raise UserError(
            f"{target}: {found.model.why}, so only PyTorch can compute it, and it cannot leave it"
        )
    origin = Origin("weights", 0, found.accuracy.accuracy)
    model = Model(found.model.name, own_recipe(found.model), found.tensors, compute=compute, origin=origin)
    return Trained(model, found.notes)
