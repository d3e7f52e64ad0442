"""The initial weights of a record of a user's own model: PyTorch's own for its layers, which anyone can draw.

Its author's constructor made them, and verification does not run that. Kept as files they would prove
nothing: they might be trained ones. So a record has their checksums alone, and they are drawn again from the
shapes of the tensors and the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from under20k.errors import UserError
from under20k.recipe.default_weights import default_weights
from under20k.recipe.own_model import OwnModel
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import Tensors
from under20k.runs import own_start
from under20k.runs.own_start import OwnStart
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.run import Run

NOT_DRAWN = (
    "its initial weights are not those that PyTorch gives its layers under the seed, in the order of its "
    "state_dict; without running its code, nobody could tell them from trained ones"
)


def initial_of(runs: Sequence[Run]) -> dict[int, str]:
    """Return the checksums of the initial weights of a user's own model, by seed; empty for a recipe.

    Raises UserError if a run does not keep them.
    """
    found = {}
    for run in runs:
        if (model := run.recipe.own) is None:
            continue
        if (start := own_start.read(run.path)) is None:
            raise UserError(f"{run.path} keeps no initial weights; train it again with --overwrite")
        found[run.seed] = weights_sha256(start.weights(model))
    return found


def drawn(model: OwnModel, seed: int, sha256: str | None) -> Tensors | None:
    """Return the initial weights of a seed with this checksum, as PyTorch draws them; None if none has it."""
    for fused in (True, False):
        weights = default_weights(model, seed, fused=fused)
        if weights is not None and weights_sha256(weights) == sha256:
            return weights
    return None


def initial_faults(recipe: Recipe, seeds: Sequence[int], sha256: Mapping[int, str]) -> Iterator[str]:
    """Yield what is wrong with the initial weights of a record.

    Args:
        recipe: of the record.
        seeds: its seeds.
        sha256: checksums of the initial weights, by seed.
    """
    if recipe.own is None:
        if sha256:
            yield "it has checksums of initial weights, which follow from the seed"
        return
    if recipe.own.graph is None:
        return  # a rule says more
    wrong = [seed for seed in seeds if drawn(recipe.own, seed, sha256.get(seed)) is None]
    if wrong:
        yield f"seed {', '.join(map(str, wrong))}: {NOT_DRAWN}"


def start_of(recipe: Recipe, seed: int, sha256: Mapping[int, str]) -> OwnStart | None:
    """Return what the training of a seed starts from, where that does not follow from the seed alone.

    Raises UserError for checksums that no drawn weights have.
    """
    if recipe.own is None:
        return None
    weights = drawn(recipe.own, seed, sha256.get(seed))
    if weights is None:
        raise UserError(f"seed {seed}: {NOT_DRAWN}")
    counters: dict[str, Any] = {name: np.zeros(shape, np.int64) for name, shape in recipe.own.integers}
    return OwnStart({**weights, **counters})
