"""The rules on what a model computes, each with its evidence: the node, and the line of the model's code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from math import prod
from typing import Any

import torch
from torch import nn

from under20k.checking.findings import Finding, missed
from under20k.checking.graph.graph import Graph
from under20k.checking.graph.node import CONVOLUTIONS, Node
from under20k.checking.graph.trace import Trace, sized
from under20k.checking.profiles import Profile
from under20k.checking.rules.batch_norm import has_batch_norm, judge_batch_norm
from under20k.checking.rules.dropout import judge_dropout, judge_dropout_off
from under20k.checking.rules.head import judge_head, judge_receptive_field
from under20k.checking.rules.input_form import run
from under20k.checking.rules.verdict import ACTIVATIONS, Ruling, at, code
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE

SOFTMAXES = ("softmax", "log_softmax")


def judge_model(
    model: nn.Module, profile: Profile, losses: Sequence[str] = (), epochs: int | None = None
) -> dict[str, Any]:
    """Findings, the facts of every layer, and notes on how it was judged, as plain values.

    The model is left as it was.
    ``losses`` are names of loss functions in the model's source; ``epochs`` is how long it trains, if that is
    known. Raises what the model raises when it runs, and ModelError where it cannot be judged.
    """
    with _unchanged(model):
        runs = run(model)
    graph, limits = Graph(runs.evaluated.nodes), profile.limits
    parameters = _count(model, runs.evaluated)
    batch_norm, order = judge_batch_norm(graph, parameters)
    found = {
        "parameters": _parameters(model, runs.evaluated, limits["parameters"]),
        "batch_norm": batch_norm,
        "batch_norm_order": order,
        "dropout": judge_dropout(model, runs.trained.nodes),
        "dropout_off_in_evaluation": judge_dropout_off(graph.nodes),
        "head": judge_head(graph),
        "receptive_field": judge_receptive_field(graph, limits["receptive_field"]),
        "softmax": _softmax(graph, losses),
        "output": _output(runs.evaluated.output, runs.form.batch, graph),
    }
    if epochs is not None:
        least = limits["epochs"]
        fix = f"train for {least - 1} epochs at most" if epochs >= least else ""
        found["epochs"] = Ruling(epochs < least, f"fewer than {least}", str(epochs), fix=fix)
    findings = []
    for rule, ruling in found.items():
        level = profile.levels[rule]
        if ruling is not None and level != "off":
            status = "passed" if ruling.passed else "failed" if level == "required" else "warning"
            fix = "" if ruling.passed else ruling.fix
            findings.append(Finding(rule, ruling.requirement, status, ruling.evidence, ruling.remark, fix))
    return {
        "profile": profile.name,
        "passed": not missed(findings),
        "parameters": parameters,
        "macs": sum(node.macs for node in graph.nodes),
        "findings": [asdict(finding) for finding in findings],
        "layers": _layers(graph),
        "notes": runs.notes,
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


def _outside(evaluated: Trace) -> int:
    return sum(node.outside for node in evaluated.nodes)


def _count(model: nn.Module, evaluated: Trace) -> int:
    """Every parameter, a shared one once, and the weights that are kept elsewhere."""
    return sum(parameter.numel() for parameter in sized(model)) + _outside(evaluated)


def _parameters(model: nn.Module, evaluated: Trace, limit: int) -> Ruling:
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
    fix = _fewer_parameters(evaluated, total, limit) if total >= limit else ""
    return Ruling(total < limit, f"fewer than {limit:,}", text, fix=fix)


def _fewer_parameters(evaluated: Trace, total: int, limit: int) -> str:
    """Which layers hold most, and how many have to go."""
    held: dict[str, int] = {}
    for node in evaluated.nodes:
        held[code(node)] = held.get(code(node), 0) + node.parameters + node.outside
    largest = sorted(((count, name) for name, count in held.items() if count), reverse=True)[:3]
    text = f"take away {total - limit + 1:,} or more"
    if largest:
        text += "; most are in " + "; ".join(f"{name}: {count:,}" for count, name in largest)
    return text + (f"; {evaluated.unused:,} are not used at all" if evaluated.unused else "")


def _softmax(graph: Graph, losses: Sequence[str]) -> Ruling:
    # One that layers with weights follow is attention's, and one that multiplies features a gate's.
    layers = [
        node
        for node in graph.nodes
        if node.kind in SOFTMAXES
        and not any(later.is_layer for later in graph.after(node))
        and not graph.only_gates(node)
    ]
    logs = [node for node in graph.nodes if node.kind == "log"]
    cross = any("cross" in loss.lower() for loss in losses)
    likelihood = any("nll" in loss.lower() for loss in losses)
    requirement = "log-softmax with NLL, or logits with cross-entropy"
    end = ", ".join(f"{node.kind} at {at(node)}" for node in layers) or "none, the output is logits"
    text = f"softmax: {end}" + (f"; losses in the source: {', '.join(losses)}" if losses else "")

    def missed(why: str, fix: str) -> Ruling:
        return Ruling(False, requirement, why, fix=fix)

    if astray := [node for node in layers if not _over_classes(node)]:
        names = ", ".join(map(at, astray))
        return missed(f"not over the classes, axis 1: {names}", f"give {code(astray[0])}, dim=1")
    if len(layers) > 1:
        return missed(f"doubled softmax: {text}", f"take away {code(layers[0])}")
    if layers and cross and not likelihood:
        log = layers[-1].kind == "log_softmax"
        harm = "which changes nothing of a log-softmax" if log else "which flattens the gradient"
        fix = f"take away {code(layers[-1])}" + (", or use nn.NLLLoss" if log else "")
        return missed(f"doubled softmax, cross-entropy has its own, {harm}: {text}", fix)
    if likelihood and not cross and (not layers or (layers[-1].kind == "softmax" and not logs)):
        fix = (
            f"use log_softmax in place of {code(layers[-1])}"
            if layers
            else "end with F.log_softmax(x, dim=1)"
        )
        return missed(
            f"NLL without log-softmax: {text}", f"{fix}, or train with nn.CrossEntropyLoss on logits"
        )
    return Ruling(True, requirement, text)


def _over_classes(node: Node) -> bool:
    dim, rank = node.settings.get("dim"), len(node.shape) + 1
    return not isinstance(dim, int) or dim % rank == 1


def _output(shape: tuple[int, ...], batch: int, graph: Graph) -> Ruling:
    requirement = f"{CLASSES} outputs for an image of 1×{IMAGE_SIDE}×{IMAGE_SIDE}"
    if shape == (batch, CLASSES):
        return Ruling(True, requirement, f"(N, {CLASSES})")
    layers = [node for node in graph.nodes if node.is_layer]
    if shape[:1] != (batch,):
        text = f"{shape[0] if shape else 'no'} rows for {batch} images"
        return Ruling(
            False, requirement, text, fix="use x.flatten(1) where the maps are made a row, not view(-1, …)"
        )
    text = f"({', '.join(['N', *map(str, shape[1:])])})"
    if prod(shape[1:]) == CLASSES:
        fix = "add x.flatten(1) at the end of forward: no parameters"
    elif len(shape) == 4 and shape[1] == CLASSES:
        fix = "add x = x.mean((2, 3)) at the end of forward: no parameters"
    else:
        fix = f"give {code(layers[-1])}, {CLASSES} outputs" if layers else f"end with nn.Linear(…, {CLASSES})"
    return Ruling(False, requirement, text, fix=fix)


def _layers(graph: Graph) -> list[dict[str, Any]]:
    rows = []
    for node in graph.nodes:
        if node.kind == "__get__" or not node.sees_image:
            continue
        following = list(graph.following(node)) if node.weighted else []
        rows.append(
            {
                "name": node.name,
                "type": node.kind,
                "shape": list(node.shape),
                "parameters": node.parameters,
                "macs": node.macs,
                "receptive_field": node.receptive_field,
                "jump": float(max(node.jumps)),
                "batch_norm_after": has_batch_norm(node, graph) if node.kind in CONVOLUTIONS else None,
                "activation": next((kind for kind in following if kind in ACTIVATIONS), None),
                "followed_by": following,
                "source": node.source,
            }
        )
    return rows
