"""The graph of a network: what it counts, and what it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tests.support.strategies import architectures
from under20k.errors import InvalidValue
from under20k.recipe.architecture import Architecture
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.layers import layers
from under20k.recipe.graph.node import Node
from under20k.recipe.graph.operations import AdaptivePool, Add, Convolution, Dropout, Linear, Pool, Reshape


@given(architectures())
def test_the_graph_of_an_architecture_has_its_tensors_and_shapes(architecture: Architecture) -> None:
    graph = architecture.graph
    assert graph.tensors() == architecture.tensors()
    assert list(graph.tensors()) == list(architecture.tensors())
    shapes = graph.shapes()
    assert {layer.name: layer.shape for layer in architecture.layers()}.items() <= shapes.items()
    assert sum(node.macs(taken) for node, taken in graph.inputs()) == architecture.macs


@given(architectures())
def test_a_graph_survives_json(architecture: Architecture) -> None:
    assert Graph.from_list(architecture.graph.to_list()) == architecture.graph


def test_a_scale_of_another_shape_survives_json_and_is_its_models_tensor() -> None:
    graph = _mlp(Convolution("c", (IMAGE,), 1, "gain", kernel=(1, 1), weight_shape=(1, 1, 1)), source="c")
    assert Graph.from_list(json.loads(json.dumps(graph.to_list()))) == graph
    assert graph.tensors() == {"gain": (1, 1, 1), "out.weight": (10, 784)}
    assert graph.nodes[0].macs([(1, 28, 28)]) == 784
    assert [(layer.kind, layer.parameters) for layer in layers(graph)] == [("Scale", 1), ("Linear", 7840)]


def _mlp(*before: Node, source: str = IMAGE) -> Graph:
    return Graph((*before, Reshape("flat", (source,), (784,)), Linear("out", ("flat",), 10, "out.weight")))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Graph((Reshape("flat", (IMAGE,), (784,)),)), r"flat: an output of shape \(784,\)"),
        (lambda: _mlp(source="later"), "input 'later'"),
        (lambda: _mlp(Convolution("flat", (IMAGE,), 8, "w")), "flat: the name of two nodes"),
        (lambda: _mlp(Convolution("c", (IMAGE,), 8, "w", kernel=(29, 3))), "kernel"),
        (lambda: _mlp(Convolution("c", (IMAGE,), 8, "w", groups=3)), "3 groups of 1 channels to 8"),
        (lambda: _mlp(Convolution("c", (IMAGE,), 8, "w", weight_shape=(8, 3))), r"c: weight_shape \(8, 3\)"),
        (lambda: Convolution("c", (IMAGE,), 8, "w", weight_shape=(8, 0)), "up to eight sizes"),
        (lambda: Convolution("c", (IMAGE,), 8, "w", weight_shape=9), "up to eight sizes"),
        (lambda: AdaptivePool("p", (IMAGE,), "average", (1, 784 * 1024 + 1)), "size"),
        (lambda: _mlp(AdaptivePool("p", (IMAGE,), "average", (1, 1025))), r"p: size \(1, 1025\) of 28"),
        (lambda: _mlp(Pool("p", (IMAGE,), "least", (2, 2), (2, 2))), "one of max, average"),
        (lambda: _mlp(Convolution("c", (IMAGE,), 8, "w"), Add("a", ("c", IMAGE))), "expected one shape"),
        (lambda: Graph(()), "nodes: 0"),
        (lambda: Dropout("d", (IMAGE,), 1.0), "d: dropout of everything"),
        (lambda: Graph.from_list([{"op": "fft", "name": "f", "inputs": [IMAGE]}]), "op one of"),
        (lambda: Graph.from_list([{"op": "add", "name": "f", "inputs": [IMAGE], "n": 1}]), "field 'n'"),
        (lambda: Graph.from_list([{"op": "conv", "name": "f", "inputs": [IMAGE]}]), "missing"),
    ],
)  # fmt: skip
def test_an_impossible_graph_is_refused(make: object, problem: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidValue, match=problem):
        make()
