"""The tensors of a module as a training takes and saves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from under20k.checking.findings import ModelError
from under20k.recipe.graph.node import Shape


@dataclass(frozen=True)
class ModuleTensors:
    """The tensors of a module's ``state_dict``. One of several names has its first, here and in the model."""

    values: dict[str, NDArray[Any]]
    """Floating-point tensors as float32, then the others as they are."""
    trained: frozenset[str]
    aliases: dict[str, str]
    """Further names, each with the first."""

    @property
    def floats(self) -> dict[str, Shape]:
        """Names and shapes of the floating-point tensors."""
        return {name: value.shape for name, value in self.values.items() if value.dtype == np.float32}

    @property
    def integers(self) -> dict[str, Shape]:
        """Names and shapes of all others."""
        return {name: value.shape for name, value in self.values.items() if value.dtype != np.float32}


def tensors_of(module: nn.Module) -> ModuleTensors:
    """Return copies of a module's tensors.

    Raises ModelError for complex numbers, and for values that are not finite.
    """
    state = module.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    floats: dict[str, NDArray[Any]] = {}
    others: dict[str, NDArray[Any]] = {}
    aliases: dict[str, str] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if id(tensor) in first:
            aliases[name] = first[id(tensor)]
            continue
        first[id(tensor)] = name
        value = tensor.detach().to("cpu")
        if value.is_complex():
            raise ModelError(f"{name} holds complex numbers; a training takes real ones")
        if value.is_floating_point():
            floats[name] = value.to(torch.float32).contiguous().numpy().copy()
            if not np.isfinite(floats[name]).all():
                raise ModelError(f"{name} has initial weights that are not finite")
        else:
            others[name] = value.contiguous().numpy().copy()
    trained = frozenset(first[id(p)] for p in module.parameters() if p.requires_grad and id(p) in first)
    return ModuleTensors(floats | others, trained, aliases)
