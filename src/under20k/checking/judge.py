"""The rules on what a model computes, each with its evidence: the node, and the line of the model's code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from under20k.architecture import CLASSES, IMAGE_SIDE
from under20k.checking.findings import Finding, missed
from under20k.checking.geometry import averages_whole_map
from under20k.checking.node import BATCH, CONVOLUTIONS, Node
from under20k.checking.profiles import Profile
from under20k.checking.trace import Trace, sized, trace

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "glu"),
    *("hardswish", "hardtanh", "hardsigmoid", "tanh", "sigmoid", "softplus", "softsign", "logsigmoid"),
)
SOFTMAXES = ("softmax", "log_softmax")
SCALINGS = ("div", "__truediv__", "true_divide", "mul", "__mul__", "__rmul__", "multiply", "divide")

Judged = tuple[bool, str, str]
"""Whether it passes, what is asked, and the evidence."""


def judge_model(
    model: nn.Module, profile: Profile, losses: Sequence[str] = (), epochs: int | None = None
) -> dict[str, Any]:
    """Findings and the facts of every layer, as plain values; the model is left as it was.

    ``losses`` are names of loss functions in the model's source; ``epochs`` is how long it trains, if that is
    known. Raises what the model raises when it runs.
    """
    with _unchanged(model):
        trained = trace(model, training=True)
        evaluated = trace(model, training=False)
    nodes, limits = evaluated.nodes, profile.limits
    found = {
        "parameters": _parameters(model, evaluated, limits["parameters"]),
        "batch_norm": _batch_norm(nodes),
        "dropout": _dropout(trained.nodes),
        "dropout_off_in_evaluation": _dropout_off(nodes),
        "head": _head(nodes),
        "receptive_field": _receptive_field(nodes, limits["receptive_field"]),
        "softmax": _softmax(nodes, losses),
        "output": _output(evaluated.output),
    }
    if epochs is not None:
        found["epochs"] = (epochs < limits["epochs"], f"fewer than {limits['epochs']}", str(epochs))
    findings = []
    for rule, (passed, requirement, evidence) in found.items():
        level = profile.levels[rule]
        if level != "off":
            status = "passed" if passed else "failed" if level == "required" else "warning"
            findings.append(Finding(rule, requirement, status, evidence))
    return {
        "profile": profile.name,
        "passed": not missed(findings),
        "parameters": _count(model, evaluated),
        "macs": sum(node.macs for node in nodes),
        "findings": [asdict(finding) for finding in findings],
        "layers": _layers(nodes),
    }


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Leave modes, buffers (BatchNorm's statistics) and torch's random state as they were."""
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


def _at(node: Node) -> str:
    return f"{node.name} ({node.source})" if node.source else node.name


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _takers(node: Node, nodes: Sequence[Node]) -> list[Node]:
    return [taker for taker in nodes if node in taker.inputs]


def _after(node: Node, nodes: Sequence[Node]) -> list[Node]:
    """The convolutions and products with weights that depend on it."""
    reached, found = {id(node)}, []
    for later in nodes:
        if any(id(source) in reached for source in later.inputs):
            reached.add(id(later))
            if later.weighted:
                found.append(later)
    return found


def _outside(evaluated: Trace) -> int:
    return sum(node.outside for node in evaluated.nodes)


def _count(model: nn.Module, evaluated: Trace) -> int:
    """Every parameter, a shared one once, and the weights that are kept elsewhere."""
    return sum(parameter.numel() for parameter in sized(model)) + _outside(evaluated)


def _parameters(model: nn.Module, evaluated: Trace, limit: int) -> Judged:
    total, outside = _count(model, evaluated), _outside(evaluated)
    own = {id(parameter) for parameter in sized(model)}
    every = sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False) if id(p) in own)
    frozen = sum(p.numel() for p in sized(model) if not p.requires_grad)
    kinds = [(frozen, "frozen"), (outside, "weights that are no parameters")]
    parts = [f"{count:,} {kind}" for count, kind in kinds if count]
    parts = [f"{total - outside - frozen:,} trainable", *parts] if parts else ["all trainable"]
    text = f"{total:,}: {', '.join(parts)}; {total / limit:.1%} of the limit"
    shared = every - (total - outside)
    text += f"; {shared:,} shared, counted once" if shared else ""
    text += f"; {evaluated.unused:,} of them in no layer that is used" if evaluated.unused else ""
    return total < limit, f"fewer than {limit:,}", text


def _normalised(node: Node, nodes: Sequence[Node]) -> bool:
    """Whether all that takes a convolution's output is BatchNorm over its channels."""
    takers = _takers(node, nodes)
    return bool(takers) and all(
        taker.kind == "batch_norm" and taker.input_shape == node.shape for taker in takers
    )


def _batch_norm(nodes: Sequence[Node]) -> Judged:
    convolutions = [node for node in nodes if node.kind in CONVOLUTIONS]
    # The last may be the head, which wants none; an only one is not, or nothing would be normalised.
    required = convolutions[:-1] or convolutions
    bare = [_at(node) for node in required if not _normalised(node, nodes)]
    text = f"after {len(required) - len(bare)} of {len(required)}"
    if len(convolutions) > 1:
        text += f" convolutions before the last, {_at(convolutions[-1])}"
    else:
        text += " convolution, the only one" if convolutions else ": there is no convolution"
    text += f"; none right after {', '.join(bare)}" if bare else ""
    return bool(required) and not bare, "BatchNorm right after every convolution but the last", text


def _rate(node: Node) -> float:
    return float(node.settings.get("p", 0.5))


def _drops(node: Node) -> bool:
    return "dropout" in node.kind and bool(node.settings.get("training", True)) and _rate(node) > 0


def _dropout(trained: Sequence[Node]) -> Judged:
    layers = [node for node in trained if "dropout" in node.kind]
    active = [f"{_at(node)} p = {_rate(node):g}" for node in layers if _drops(node)]
    idle = [f"{_at(node)} p = {_rate(node):g}" for node in layers if not _drops(node)]
    text = ", ".join(active) or "nothing is dropped in training"
    return bool(active), "dropout with p above 0", text + (f"; idle: {', '.join(idle)}" if idle else "")


def _dropout_off(nodes: Sequence[Node]) -> Judged:
    active = [_at(node) for node in nodes if _drops(node)]
    text = f"still drops: {', '.join(active)}" if active else "nothing is dropped in evaluation"
    return not active, "no dropout in evaluation", text


def _head(nodes: Sequence[Node]) -> Judged:
    found = []
    for node in nodes:
        what = _head_kind(node, nodes)
        # A gate (squeeze and excitation) is followed by convolutions of maps; a head is not.
        if what and all(later.input_shape[1:] in ((), (1, 1)) for later in _after(node, nodes)):
            found.append(f"{_at(node)}: {what}")
    return bool(found), "global average pooling or fully connected", ", ".join(found) or "neither is computed"


def _head_kind(node: Node, nodes: Sequence[Node]) -> str:
    taken = _times(node.input_shape)
    if averages_whole_map(node):
        scaled = any(taker.kind in SCALINGS for taker in _takers(node, nodes))
        trivial = ", each its own average" if node.input_shape[1:] == (1, 1) else ""
        return f"global average of {taken}{trivial}" if node.kind != "sum" or scaled else ""
    if not node.weighted:
        return ""
    if node.kind not in CONVOLUTIONS:
        return f"fully connected, of {taken}" if node.sides == (1, 1) else ""
    whole = node.kind == "conv2d" and node.shape[1:] == (1, 1)
    whole = whole and tuple(node.settings["kernel_size"]) == node.input_shape[1:] and not _after(node, nodes)
    return f"fully connected, a convolution over the whole map of {taken}" if whole else ""


def _receptive_field(nodes: Sequence[Node], least: int) -> Judged:
    weighted = [node for node in nodes if node.weighted]
    side = weighted[-1].receptive_field if weighted else 1
    text = f"{side}×{side} at {_at(weighted[-1])}" if weighted else "no layer with weights"
    return side >= least, f"at least {least}×{least}; the image has {IMAGE_SIDE}×{IMAGE_SIDE}", text


def _softmax(nodes: Sequence[Node], losses: Sequence[str]) -> Judged:
    # One that layers with weights follow is attention's, or a gate's.
    layers = [node for node in nodes if node.kind in SOFTMAXES and not _after(node, nodes)]
    logs = [node for node in nodes if node.kind == "log"]
    cross = any("cross" in loss.lower() for loss in losses)
    likelihood = any("nll" in loss.lower() for loss in losses)
    requirement = "log-softmax with NLL, or logits with cross-entropy"
    end = ", ".join(f"{node.kind} at {_at(node)}" for node in layers) or "none, the output is logits"
    text = f"softmax: {end}" + (f"; losses in the source: {', '.join(losses)}" if losses else "")
    if astray := [_at(node) for node in layers if not _over_classes(node)]:
        return False, requirement, f"not over the classes, axis 1: {', '.join(astray)}"
    if len(layers) > 1:
        return False, requirement, f"doubled softmax: {text}"
    if layers and cross and not likelihood:
        log = layers[-1].kind == "log_softmax"
        harm = "which changes nothing of a log-softmax" if log else "which flattens the gradient"
        return False, requirement, f"doubled softmax, cross-entropy has its own, {harm}: {text}"
    if likelihood and not cross and (not layers or (layers[-1].kind == "softmax" and not logs)):
        return False, requirement, f"NLL without log-softmax: {text}"
    return True, requirement, text


def _over_classes(node: Node) -> bool:
    dim, rank = node.settings.get("dim"), len(node.shape) + 1
    return not isinstance(dim, int) or dim % rank == 1


def _output(shape: tuple[int, ...]) -> Judged:
    requirement = f"{CLASSES} outputs for an image of 1×{IMAGE_SIDE}×{IMAGE_SIDE}"
    return shape == (BATCH, CLASSES), requirement, f"({', '.join(['N', *map(str, shape[1:])])})"


def _layers(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    rows = []
    for node in nodes:
        if node.kind == "__get__" or not node.sees_image:
            continue
        following = list(_following(node, nodes)) if node.weighted else []
        rows.append(
            {
                "name": node.name,
                "type": node.kind,
                "shape": list(node.shape),
                "parameters": node.parameters,
                "macs": node.macs,
                "receptive_field": node.receptive_field,
                "jump": float(max(node.jumps)),
                "batch_norm_after": _normalised(node, nodes) if node.kind in CONVOLUTIONS else None,
                "activation": next((kind for kind in following if kind in ACTIVATIONS), None),
                "followed_by": following,
                "source": node.source,
            }
        )
    return rows


def _following(node: Node, nodes: Sequence[Node]) -> Iterator[str]:
    """The kinds of what comes after a layer with weights, up to a branch or to the next one."""
    while len(takers := _takers(node, nodes)) == 1 and not takers[0].weighted:
        (node,) = takers
        yield node.kind
