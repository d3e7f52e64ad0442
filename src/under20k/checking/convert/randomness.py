"""Random numbers of a model's own, which the epoch plan does not know."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn

from under20k.checking.convert.reasons import NotConvertible, used
from under20k.checking.graph.node import RANDOM, Node


def refuse_random(node: Node) -> None:
    """Raise NotConvertible if a tensor that does not depend on the image depends on random numbers."""
    for source in node.made_of():
        if source.kind in RANDOM or "dropout" in source.kind:
            raise refused_random(source)


def refused_random(node: Node) -> NotConvertible:
    """Return the error for a call that draws random numbers."""
    return used(node, "for random numbers of its own")


@contextmanager
def without_other_generators(module: nn.Module) -> Iterator[None]:
    """Raise NotConvertible if the body draws from Python's or NumPy's generator."""
    python, numpy = random.getstate(), _numpy_state()
    yield
    if random.getstate() != python or _numpy_state() != numpy:
        which = "Python's random" if random.getstate() != python else "numpy.random"
        raise NotConvertible(f"{type(module).__name__}.forward uses {which} for random numbers of its own")


def _numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - a model may use it
    assert isinstance(state, dict)
    return state["state"]["key"].tobytes(), state["state"]["pos"]
