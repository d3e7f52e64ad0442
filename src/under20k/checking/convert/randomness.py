"""Random numbers of a model's own, which the epoch plan does not know."""

from __future__ import annotations

from under20k.checking.convert.reasons import NotConvertible, used
from under20k.checking.graph.node import Node

RANDOM = (
    *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "randperm", "bernoulli"),
    *("normal", "uniform", "exponential", "multinomial", "poisson", "rrelu", "gumbel_softmax", "random"),
    *("alpha_dropout", "feature_alpha_dropout"),
)


def refuse_random(node: Node) -> None:
    """Raise NotConvertible if a tensor that does not depend on the image depends on random numbers."""
    left, seen = [node], set()
    while left:
        at = left.pop()
        if id(at) not in seen:
            seen.add(id(at))
            left += at.inputs
            if at.kind in RANDOM or "dropout" in at.kind:
                raise refused_random(at)


def refused_random(node: Node) -> NotConvertible:
    """Return the error for a call that draws random numbers."""
    return used(node, "for random numbers of its own")
