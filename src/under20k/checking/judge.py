"""The rules on what a model computes, each with its evidence: the node, and the line of the model's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from under20k.architecture import CLASSES, IMAGE_SIDE
from under20k.checking.profiles import Profile
from under20k.checking.trace import BATCH, CONVOLUTIONS, Node, averages_whole_map, trace

ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "gelu",
    "silu",
    "elu",
    "selu",
    "hardswish",
    "mish",
    "prelu",
    "tanh",
)


@dataclass(frozen=True)
class Finding:
    """One rule, judged. ``status`` is passed, failed, or warning for a rule that is only advised."""

    rule: str
    requirement: str
    status: str
    evidence: str


def judge_model(model: nn.Module, profile: Profile, losses: Sequence[str] = ()) -> dict[str, Any]:
    """Findings and the facts of every layer, as plain values.

    ``losses`` are names of loss functions in the model's source. Raises what the model raises when it runs.
    """
    trained, _ = trace(model, training=True)
    nodes, output = trace(model, training=False)
    limits = profile.limits
    found = {
        "parameters": _parameters(model, limits["parameters"]),
        "batch_norm": _batch_norm(nodes),
        "dropout": _dropout(trained),
        "dropout_off_in_evaluation": _dropout_off(nodes),
        "head": _head(nodes),
        "receptive_field": _receptive_field(nodes, limits["receptive_field"]),
        "softmax": _softmax(nodes, losses),
        "output": (output == (BATCH, CLASSES), f"{CLASSES} classes an image", f"(N, {_times(output[1:])})"),
    }
    findings = []
    for rule, (passed, requirement, evidence) in found.items():
        level = profile.levels[rule]
        if level != "off":
            status = "passed" if passed else "failed" if level == "required" else "warning"
            findings.append(asdict(Finding(rule, requirement, status, evidence)))
    return {
        "profile": profile.name,
        "passed": all(finding["status"] != "failed" for finding in findings),
        "parameters": _count(model),
        "macs": sum(node.macs for node in nodes),
        "findings": findings,
        "layers": _layers(nodes),
    }


def _at(node: Node) -> str:
    return f"{node.name} ({node.source})" if node.source else node.name


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _takers(node: Node, nodes: Sequence[Node]) -> list[Node]:
    return [taker for taker in nodes if node in taker.inputs]


def _convolutions(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.kind in CONVOLUTIONS]


def _weighted(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.kind in CONVOLUTIONS or node.kind == "linear"]


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())  # a shared one once


def _parameters(model: nn.Module, limit: int) -> tuple[bool, str, str]:
    total = _count(model)
    every = sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False))
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    text = f"{total:,}: {total - frozen:,} trainable, {frozen:,} frozen"
    text += f"; {every - total:,} shared, counted once" if every > total else ""
    return total < limit, f"fewer than {limit:,}", text


def _normalised(node: Node, nodes: Sequence[Node]) -> bool:
    takers = _takers(node, nodes)
    return bool(takers) and all(
        taker.kind == "batch_norm" and taker.input_shape == node.shape for taker in takers
    )


def _batch_norm(nodes: Sequence[Node]) -> tuple[bool, str, str]:
    convolutions = _convolutions(nodes)
    required = convolutions[:-1]
    bare = [_at(node) for node in required if not _normalised(node, nodes)]
    text = f"after {len(required) - len(bare)} of {len(required)}"
    text += f"; none right after {', '.join(bare)}" if bare else ""
    return bool(required) and not bare, "BatchNorm right after every convolution but the last", text


def _rate(node: Node) -> float:
    return float(node.settings.get("p", 0.5))


def _drops(node: Node) -> bool:
    default = node.kind != "dropout" or "training" not in node.settings
    return "dropout" in node.kind and bool(node.settings.get("training", default)) and _rate(node) > 0


def _dropout(trained: Sequence[Node]) -> tuple[bool, str, str]:
    layers = [node for node in trained if "dropout" in node.kind]
    active = [f"{_at(node)} p = {_rate(node):g}" for node in layers if _drops(node)]
    idle = [f"{_at(node)} p = {_rate(node):g}" for node in layers if not _drops(node)]
    text = ", ".join(active) or "nothing is dropped in training"
    return bool(active), "dropout with p above 0", text + (f"; idle: {', '.join(idle)}" if idle else "")


def _dropout_off(nodes: Sequence[Node]) -> tuple[bool, str, str]:
    active = [_at(node) for node in nodes if _drops(node)]
    text = f"still drops: {', '.join(active)}" if active else "nothing is dropped in evaluation"
    return not active, "no dropout in evaluation", text


def _head(nodes: Sequence[Node]) -> tuple[bool, str, str]:
    found = []
    for node in nodes:
        full_map = (
            node.kind == "conv2d"
            and node.shape[1:] == (1, 1)
            and tuple(node.settings["kernel_size"]) == node.input_shape[1:]
            and node is _weighted(nodes)[-1]
        )
        if not (node.kind == "linear" or averages_whole_map(node) or full_map):
            continue
        # A gate (squeeze and excitation) is followed by convolutions of maps; a head is not.
        if any(later.input_shape[1:] not in ((), (1, 1)) for later in _after(node, nodes)):
            continue
        what = "fully connected" if node.kind == "linear" else "global average"
        what = "convolution over the whole map" if full_map else what
        found.append(f"{_at(node)}: {what} of {_times(node.input_shape)}")
    return bool(found), "global average pooling or fully connected", ", ".join(found) or "neither is computed"


def _after(node: Node, nodes: Sequence[Node]) -> list[Node]:
    """The convolutions that depend on it."""
    reached, found = {id(node)}, []
    for later in nodes:
        if any(id(source) in reached for source in later.inputs):
            reached.add(id(later))
            if later.kind in CONVOLUTIONS:
                found.append(later)
    return found


def _receptive_field(nodes: Sequence[Node], least: int) -> tuple[bool, str, str]:
    weighted = _weighted(nodes)
    side = weighted[-1].receptive_field if weighted else 1
    text = f"{side}×{side} at {_at(weighted[-1])}" if weighted else "no layer with weights"
    return side >= least, f"at least {least}×{least} of {IMAGE_SIDE}×{IMAGE_SIDE}", text


def _softmax(nodes: Sequence[Node], losses: Sequence[str]) -> tuple[bool, str, str]:
    layers = [node for node in nodes if node.kind in ("softmax", "log_softmax")]
    logs = [node for node in nodes if node.kind == "log"]
    cross = any("cross" in loss.lower() for loss in losses)
    likelihood = any("nll" in loss.lower() for loss in losses)
    requirement = "log-softmax with NLL, or logits with cross-entropy"
    end = ", ".join(_at(node) for node in layers) or "none, the output is logits"
    text = f"softmax: {end}; losses in the source: {', '.join(losses) or 'none'}"
    if len(layers) > 1:
        return False, requirement, f"doubled softmax: {text}"
    if layers and cross and not likelihood:
        return False, requirement, f"doubled softmax, cross-entropy has its own: {text}"
    if likelihood and not cross and (not layers or (layers[-1].kind == "softmax" and not logs)):
        return False, requirement, f"NLL without log-softmax: {text}"
    return True, requirement, text


def _layers(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    rows = []
    for node in nodes:
        if node.kind == "__get__":
            continue
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
                "activation": node.kind in ACTIVATIONS,
                "source": node.source,
            }
        )
    return rows
