"""Run a model and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Restore modes, buffers (BatchNorm's statistics) and torch's random state afterwards."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers() if not _lazy(buffer)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            now = dict(model.named_buffers())
            for name, buffer in buffers.items():
                if name in now and now[name].shape == buffer.shape:
                    now[name].copy_(buffer)


def _lazy(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, nn.parameter.UninitializedBuffer)
