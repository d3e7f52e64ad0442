"""Dropout: something is dropped in training, and nothing in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from under20k.checking.graph.node import ATTENTION, RECURRENT, Node
from under20k.checking.graph.source_lines import attribute
from under20k.checking.rules.verdict import Verdict, at, code, several


def judge_dropout(model: nn.Module, trained: Sequence[Node]) -> Verdict:
    """Judge whether the run in training drops something, attention's weights included."""
    layers = [node for node in trained if _could_drop(node)]
    active = [f"{at(node)} p = {_rate(node):g}" for node in layers if _drops(node)]
    idle = [f"{at(node)} p = {_rate(node):g}" for node in layers if not _drops(node)]
    text = several(active) or "nothing is dropped in training"
    text += f"; idle: {several(idle)}" if idle else ""
    return Verdict(bool(active), "dropout with p above 0", text, fix="" if active else _fix(model, trained))


def judge_dropout_off(evaluated: Sequence[Node]) -> Verdict:
    """Judge whether the run in evaluation drops nothing."""
    active = [node for node in evaluated if _drops(node)]
    text = f"still drops: {several(map(at, active))}" if active else "nothing is dropped in evaluation"
    fix = f"use nn.Dropout, or pass self.training: {several(map(code, active))}" if active else ""
    return Verdict(not active, "no dropout in evaluation", text, fix=fix)


def _could_drop(node: Node) -> bool:
    if node.kind in (*ATTENTION, *RECURRENT):
        return _rate(node) > 0  # the setting alone makes it no dropout layer
    return "dropout" in node.kind


def _rate(node: Node) -> float:
    default = 0.5 if "dropout" in node.kind else 0.0
    rate = node.settings.get("p", default)
    if node.kind in RECURRENT and node.settings.get("num_layers", 1) == 1:
        return 0.0  # it drops between its layers
    return float(rate) if isinstance(rate, int | float) else default


def _drops(node: Node) -> bool:
    return _could_drop(node) and bool(node.settings.get("training", True)) and _rate(node) > 0


def _fix(model: nn.Module, trained: Sequence[Node]) -> str:
    idle = [node for node in trained if "dropout" in node.kind]
    for node in idle:
        if _rate(node) == 0:
            return f"give {code(node)}, a p above 0, such as 0.05: no parameters"
        return f"switch on {code(node)}, in training, by training=self.training: no parameters"
    layers = [
        name for name, m in model.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd) and name
    ]
    if layers:
        return f"use what {attribute(layers[0])} returns in forward; now it does nothing: no parameters"
    activations = [node for node in trained if "relu" in node.kind or "pool" in node.kind]
    place = f" after {code(activations[0])}" if activations else ""
    return f"add nn.Dropout(0.05){place}: no parameters"
