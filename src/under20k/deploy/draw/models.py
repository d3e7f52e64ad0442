"""What the drawing page embeds of a model: what is known of it, its graph, its weights and perhaps a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from under20k.deploy.draw.encoding import encoded
from under20k.deploy.export.export import short_name
from under20k.deploy.model import Model, load
from under20k.recipe.architecture import CLASSES, Architecture
from under20k.recipe.weights import Tensors

FORMAT = 1
DEFAULT = ("minimal", "regularized-plus", "shared-weights")
"""The pretrained models of the page without any named."""


@dataclass(frozen=True)
class Film:
    """A training, epoch by epoch."""

    epochs: tuple[int, ...]
    """Counted from 1, ascending."""
    validation_accuracies: tuple[float, ...]
    """At the end of each, as fractions."""
    weights: tuple[Tensors, ...]
    """At the end of each."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """A model of the page."""

    model: Model
    film: Film | None = None


def embedded(names: Sequence[str | Path] = DEFAULT) -> list[Embedded]:
    """Return models by the names of pretrained ones or their folders. Raises UserError."""
    return [Embedded(load(name)) for name in names]


def page_data(models: Sequence[Embedded]) -> dict[str, Any]:
    """Return what the page reads, for JSON."""
    return {"format": FORMAT, "models": [description(each) for each in models]}


def description(embedded: Embedded) -> dict[str, Any]:
    """Return one model, for JSON."""
    model, film = embedded.model, embedded.film
    architecture, origin = model.recipe.architecture, model.origin
    validation = origin.validation if origin else None
    tensors = architecture.tensors()
    return {
        "name": short_name(model),
        "parameters": architecture.parameters,
        "macs": architecture.macs,
        "accuracy": validation and {"mean": validation.mean, "sd": validation.sd, "n": validation.n},
        "validation_accuracy": origin.validation_accuracy if origin else None,
        "temperature": model.temperature,
        "threshold": model.threshold,
        "graph": _graph(architecture),
        "tensors": [[name, list(shape)] for name, shape in tensors.items()],
        "weights": encoded(_joined(model.weights, tensors)),
        "film": film
        and {
            "epochs": film.epochs,
            "validation_accuracies": film.validation_accuracies,
            "weights": [encoded(_joined(weights, tensors)) for weights in film.weights],
        },
    }


def _joined(weights: Tensors, names: Sequence[str]) -> np.ndarray:
    return np.concatenate([weights[name].ravel() for name in names])


def _graph(architecture: Architecture) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []

    def node(name: str, op: str, **fields: Any) -> None:
        nodes.append({"name": name, "op": op, "inputs": [nodes[-1]["name"] if nodes else "image"], **fields})

    def conv(name: str, channels: int, kernel: int, padding: int, weight: str, bias: bool) -> None:
        node(
            name,
            "conv",
            channels=channels,
            kernel=[kernel, kernel],
            stride=[1, 1],
            padding=[padding, padding],
            dilation=[1, 1],
            groups=1,
            weight=weight,
            bias=f"{name}.bias" if bias else None,
        )

    for index, block in enumerate(architecture.blocks):
        name = f"blocks.{index}"
        weight = architecture.kernel_name(index)
        conv(f"{name}.conv", block.channels, block.kernel, block.padding, weight, block.bias)
        if block.batch_norm:
            parts = ("weight", "bias", "running_mean", "running_var")
            fields = {part: f"{name}.batch_norm.{part}" for part in parts}
            node(f"{name}.batch_norm", "batch_norm", **fields, momentum=0.1, eps=1e-5)
        node(f"{name}.relu", "activation", function="relu", slope=None, weight=None)
        if block.pool:
            window = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]}
            node(f"{name}.pool", "pool", kind="max", **window, ceil=False, count_padding=True)
        if block.dropout:
            node(f"{name}.dropout", "dropout", probability=block.dropout, channels=False)
    head = architecture.head
    if head.pool_first:
        node("head.pool", "adaptive_pool", kind="average", size=[1, 1])
    conv("head.conv", CLASSES, head.kernel, head.padding, "head.conv.weight", head.bias)
    if not head.pool_first:
        node("head.pool", "adaptive_pool", kind="average", size=[1, 1])
    node("head.flatten", "reshape", shape=[CLASSES])
    node("head.log_softmax", "log_softmax")
    return nodes
