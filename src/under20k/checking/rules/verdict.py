"""The verdict of a rule on a model, and how sentences name layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from under20k.checking.graph.node import Node

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "glu"),
    *("hardswish", "hardtanh", "hardsigmoid", "tanh", "sigmoid", "softplus", "softsign", "logsigmoid"),
)
NAMED = 4
"""Layers named in one sentence; the others are counted."""


@dataclass(frozen=True)
class Verdict:
    """The result of one rule on one model, before the profile says how much it matters."""

    passed: bool
    requirement: str
    evidence: str
    remark: str = ""
    fix: str = ""


def at(node: Node) -> str:
    """Return the layer's module name with its source line."""
    return f"{node.name} ({node.source})" if node.source else node.name


def code(node: Node) -> str:
    """Return the layer as the code names it with its source line: ``self.f[0], model.py:12``."""
    return f"{node.attribute}, {node.source}" if node.source else node.attribute


def times(shape: Sequence[int]) -> str:
    """Return ``4×7×7``."""
    return "×".join(map(str, shape))


def several(parts: Iterable[str], separator: str = ", ") -> str:
    """Join the first few parts and say how many more there are."""
    distinct = list(dict.fromkeys(parts))
    more = len(distinct) - NAMED
    return separator.join(distinct[:NAMED]) + (f" and {more} more" if more > 0 else "")
