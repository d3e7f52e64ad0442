"""The model's output: its shape, and a softmax that fits the loss."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from under20k.checking.graph.graph import Graph
from under20k.checking.graph.node import Node
from under20k.checking.rules.verdict import Verdict, at, code
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE

SOFTMAXES = ("softmax", "log_softmax")


def judge_softmax(graph: Graph, losses: Sequence[str]) -> Verdict:
    """Judge whether the softmax at the end fits the loss functions that the source names."""
    # A softmax followed by layers with weights belongs to attention, one that multiplies features to a gate.
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

    def missed(why: str, fix: str) -> Verdict:
        return Verdict(False, requirement, why, fix=fix)

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
    return Verdict(True, requirement, text)


def _over_classes(node: Node) -> bool:
    dim, rank = node.settings.get("dim"), len(node.shape) + 1
    return not isinstance(dim, int) or dim % rank == 1


def judge_output(shape: tuple[int, ...], batch: int, graph: Graph) -> Verdict:
    """Judge the output's shape for a batch of that many images."""
    requirement = f"{CLASSES} outputs for an image of 1×{IMAGE_SIDE}×{IMAGE_SIDE}"
    if shape == (batch, CLASSES):
        return Verdict(True, requirement, f"(N, {CLASSES})")
    layers = [node for node in graph.nodes if node.is_layer]
    if shape[:1] != (batch,):
        text = f"{shape[0] if shape else 'no'} rows for {batch} images"
        return Verdict(
            False, requirement, text, fix="use x.flatten(1) where the maps are made a row, not view(-1, …)"
        )
    text = f"({', '.join(['N', *map(str, shape[1:])])})"
    if prod(shape[1:]) == CLASSES:
        fix = "add x.flatten(1) at the end of forward: no parameters"
    elif len(shape) == 4 and shape[1] == CLASSES:
        fix = "add x = x.mean((2, 3)) at the end of forward: no parameters"
    else:
        fix = f"give {code(layers[-1])}, {CLASSES} outputs" if layers else f"end with nn.Linear(…, {CLASSES})"
    return Verdict(False, requirement, text, fix=fix)
