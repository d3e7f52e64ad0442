"""Graphs with every operation, for ``exercise.py``. Needs neither pytest nor torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from under20k.recipe.graph.graph import Graph
from under20k.recipe.own_model import OwnModel
from under20k.recipe.weights import Tensors

Nodes = list[dict[str, Any]]


def conv(name: str, source: str, channels: int, kernel: int, **fields: Any) -> dict[str, Any]:
    own: dict[str, Any] = {"channels": channels, "weight": f"{name}.weight", "kernel": [kernel, kernel]}
    return {"op": "conv", "name": name, "inputs": [source]} | own | fields


def norm(name: str, source: str, **fields: Any) -> dict[str, Any]:
    parts = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    own = {part: f"{name}.{tensor}" for part, tensor in parts.items()}
    return {"op": "batch_norm", "name": name, "inputs": [source]} | own | fields


def node(operation: str, name: str, /, *sources: str, **fields: Any) -> dict[str, Any]:
    return {"op": operation, "name": name, "inputs": list(sources)} | fields


def activation(name: str, source: str, function: str, **fields: Any) -> dict[str, Any]:
    return node("activation", name, source, function=function, **fields)


RESIDUAL: Nodes = [
    conv("a", "image", 5, 3, padding=[1, 1], bias="a.bias"),
    activation("a1", "a", "relu"),
    norm("a2", "a1"),
    node("pool", "a3", "a2", kind="max", kernel=[2, 2], stride=[2, 2]),
    node("dropout", "a4", "a3", probability=0.2),
    conv("b", "a4", 5, 3, padding=[1, 1], weight="shared"),
    norm("b1", "b", momentum=None),
    activation("b2", "b1", "relu"),
    conv("c", "b2", 5, 3, padding=[1, 1], weight="shared"),
    norm("c1", "c", weight=None, bias=None),
    node("add", "d", "c1", "a4"),
    activation("d1", "d", "relu"),
    node("pool", "d2", "d1", kind="max", kernel=[2, 2], stride=[2, 2]),
    conv("e", "d2", 7, 1),
    node("dropout", "e1", "e", probability=0.5, channels=True, stream=1),
    conv("f", "e1", 10, 7, bias="f.bias"),
    node("reshape", "g", "f", shape=[10]),
    node("log_softmax", "h", "g"),
]
EVERYTHING: Nodes = [
    node("scale", "s", "image", factor=0.5, offset=0.1),
    conv("a", "s", 6, 5, stride=[2, 1], padding=[2, 1], bias="a.bias"),
    activation("a1", "a", "prelu", weight="slopes", weights_count=6),
    conv("b", "a1", 6, 3, groups=6, dilation=[2, 1], padding=[2, 1]),
    *(activation(f"b.{name}", "b", name, slope=0.2) for name in ("gelu", "silu", "leaky_relu", "elu")),
    *(
        activation(f"b.{name}", "b", name)
        for name in ("relu6", "hardswish", "hardsigmoid", "tanh", "gelu_tanh")
    ),
    node("concatenate", "c", "b.gelu", "b.silu", "b.leaky_relu"),
    node("add", "c1", "b.elu", "b.relu6", "b.hardswish"),
    node("multiply", "c2", "b.hardsigmoid", "b.tanh", "b.gelu_tanh"),
    node("concatenate", "d", "c", "c1", "c2"),
    norm("d1", "d"),
    node("adaptive_pool", "g", "d1", kind="average"),
    conv("g1", "g", 30, 1, groups=3),
    activation("g2", "g1", "sigmoid"),
    node("multiply", "h", "d1", "g2"),
    node(
        "pool", "h1", "h", kind="average", kernel=[3, 2], stride=[2, 2], padding=[1, 1], count_padding=False
    ),
    node("pool", "h2", "h1", kind="max", kernel=[3, 3], stride=[2, 2], padding=[1, 1], ceil=True),
    node("adaptive_pool", "h3", "h2", kind="max", size=[3, 2]),
    node("reshape", "i", "h3", shape=[180]),
    node("dropout", "i1", "i", probability=0.3),
    node("linear", "j", "i1", features=10, weight="j.weight", bias="j.bias"),
    node("softmax", "k", "j"),
]
LINEAR: Nodes = [
    node("reshape", "a", "image", shape=[784]),
    node("linear", "b", "a", features=21, weight="b.weight"),
    norm("b1", "b"),
    activation("b2", "b1", "relu"),
    node("linear", "c", "b2", features=21, weight="c.weight", bias="c.bias"),
    activation("c1", "c", "relu"),
    node("linear", "d", "c1", features=10, weight="d.weight"),
]
GRAPHS = {"residual": RESIDUAL, "everything": EVERYTHING, "linear": LINEAR}


def own_model(nodes: Nodes) -> OwnModel:
    graph = Graph.from_list(nodes)
    shapes, trained = graph.tensors(), frozenset(graph.trained())
    return OwnModel("Net", "", "", (), tuple(shapes.items()), trained, 0, 0, graph)


def weights_of(model: OwnModel) -> Tensors:
    generator = np.random.default_rng(0)
    tensors: Tensors = {}
    for name, shape in model.tensors().items():
        size = 1 / math.sqrt(math.prod(shape[1:]))
        value = generator.uniform(-size, size, shape) if len(shape) > 1 else generator.uniform(0.5, 1, shape)
        tensors[name] = value.astype(np.float32)
    return tensors
