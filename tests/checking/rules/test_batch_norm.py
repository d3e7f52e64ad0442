"""BatchNorm in random networks of sums and concatenations, against a rule that follows tensors forwards.

The oracle keeps, for each tensor, the convolutions whose outputs are in it un-normalised. A convolution or
the head that takes such a tensor finds them bare; BatchNorm empties the set; a sum or a concatenation unites
two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from under20k.checking.profiles import load_profile
from under20k.checking.rules.judge import judge_model

BRIEF = load_profile("brief")
PLAIN = st.sampled_from(["conv", "conv", "norm", "norm", "relu", "pool", "drop", "group"])
TOKENS = st.recursive(
    st.lists(PLAIN, max_size=6),
    lambda inner: st.lists(st.one_of(PLAIN, st.tuples(st.sampled_from(["sum", "cat"]), inner)), max_size=6),
    max_leaves=4,
)


class Chain(nn.Module):
    """Layers one after the other; ("sum", layers) adds what they make of a tensor to it, "cat" appends it."""

    def __init__(self, tokens: list[Any], channels: int) -> None:
        super().__init__()
        self.layers, self.joins = nn.ModuleList(), []
        for token in tokens:
            join, token = token if isinstance(token, tuple) else ("", token)
            layer: nn.Module
            if join:
                layer = Chain(token, channels)
                channels += layer.channels if join == "cat" else 0
                if join == "sum" and layer.channels != channels:
                    layer, join = nn.Identity(), ""
            else:
                layer = {
                    "conv": lambda c: nn.Conv2d(c, c, 1),
                    "norm": nn.BatchNorm2d,
                    "relu": lambda c: nn.ReLU(),
                    "pool": lambda c: nn.AvgPool2d(3, 1, 1),
                    "drop": lambda c: nn.Dropout(0.1),
                    "group": lambda c: nn.GroupNorm(1, c),
                }[token](channels)
            self.layers.append(layer)
            self.joins.append(join)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        for layer, join in zip(self.layers, self.joins, strict=True):
            y = layer(x)
            x = x + y if join == "sum" else torch.cat([x, y], 1) if join == "cat" else y
        return x


Way = tuple[int, str, bool]
"""A convolution by its number, what has come between (an activation or dropout), and whether it has met the
last convolution's output."""


@dataclass
class Oracle:
    last: int
    """The number of the last convolution, 0 where there is one only."""
    count: int = 0
    normalised: set[int] = field(default_factory=set)
    bare: set[int] = field(default_factory=set)
    late: bool = False

    def take(self, tensor: set[Way]) -> None:
        """A layer with weights takes it."""
        self.bare |= {number for number, _, met in tensor if not met}

    def met(self, tensor: set[Way]) -> set[Way]:
        if self.last and any(number == self.last for number, _, _ in tensor):
            return {(number, between, True) for number, between, _ in tensor}
        return tensor

    def layer(self, layer: nn.Module, tensor: set[Way]) -> set[Way]:
        if isinstance(layer, nn.Conv2d):
            self.take(tensor)
            self.count += 1
            return self.met({(self.count, "", False)})
        if isinstance(layer, nn.BatchNorm2d):
            self.normalised |= {number for number, _, _ in tensor}
            self.late = self.late or any(between for _, between, _ in tensor)
            return set()
        name = {nn.ReLU: "activation", nn.Dropout: "dropout"}.get(type(layer), "")
        return {(number, between or name, met) for number, between, met in tensor}

    def chain(self, chain: Chain, tensor: set[Way]) -> set[Way]:
        for layer, join in zip(chain.layers, chain.joins, strict=True):
            made = self.chain(layer, tensor) if isinstance(layer, Chain) else self.layer(layer, tensor)
            if join and made is tensor:  # x + x, no way around the dropout, but another tensor than x
                made = set(tensor)
            elif join:
                made = self.met({(n, "" if b == "dropout" else b, met) for n, b, met in made | tensor})
            tensor = made
        return tensor


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(TOKENS)
@example([("sum", ["norm", "relu", "conv"]), ("sum", ["norm", "relu", "conv"])])  # no BatchNorm at the end
@example(["conv", ("cat", ["conv"]), "norm", ("sum", ["drop", "conv"])])
@example(["drop", ("sum", []), "norm"])
def test_every_path_from_a_convolution_passes_batch_norm(tokens):
    chain = Chain(tokens, 2)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 4, 4), chain, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(chain.channels, 10)
    )
    total = sum(isinstance(layer, nn.Conv2d) for layer in model.modules())
    oracle = Oracle(last=total if total > 1 else 0)
    oracle.take(oracle.chain(chain, oracle.layer(model[0], set())))
    required = set(range(1, max(total, 2)))
    missing = {number for number in required if number in oracle.bare or number not in oracle.normalised}
    found = {f.rule: f for f in judge_model(model, BRIEF).findings}
    assert found["batch_norm"].status == ("failed" if missing else "passed"), found["batch_norm"]
    assert found["batch_norm"].evidence.startswith(f"after {len(required - missing)} of {len(required)} ")
    order = found.get("batch_norm_order")
    assert (order is not None) == bool(oracle.normalised)
    if order:
        assert (order.status == "warning") == oracle.late, order
