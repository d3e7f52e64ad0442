"""Graphs of operations that no line of text describes, with weights, as models to export."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from under20k.deploy.model import Model
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.engine.graph_module import GraphModule
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Node
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import OwnModel
from under20k.recipe.weights import Tensors


def _norm(name: str, source: str, *, affine: bool = True, eps: float = 1e-5) -> op.BatchNorm:
    weights = (f"{name}.weight", f"{name}.bias") if affine else (None, None)
    return op.BatchNorm(name, (source,), *weights, f"{name}.running_mean", f"{name}.running_var", 0.1, eps)


def _ended(*nodes: Node, features: int) -> Graph:
    """A graph of nodes that end in ``features`` features, and a linear layer."""
    out = op.Linear("out", (nodes[-1].name,), 10, "out.weight", "out.bias")
    return Graph((*nodes, out, op.LogSoftmax("end", ("out",))))


def everything() -> Graph:
    """A graph with nearly every operation, branches, gates and odd maps."""
    return _ended(
        op.Convolution("c1", (IMAGE,), 6, "c1.weight", "c1.bias", (5, 3), (2, 1), (2, 1)),
        _norm("n1", "c1"),
        op.Activation("a1", ("n1",), "gelu"),
        op.Convolution(
            "c2", ("a1",), 6, "c2.weight", None, (3, 3), padding=(2, 2), dilation=(2, 2), groups=3
        ),
        op.Activation("a2", ("c2",), "prelu", weight="slopes", weights_count=6),
        op.Dropout("d", ("a2",), 0.1),
        op.Add("s", ("a1", "d")),
        op.AdaptivePool("g", ("s",), "average"),
        op.Convolution("g1", ("g",), 6, "g1.weight", "g1.bias", (1, 1)),
        op.Activation("g2", ("g1",), "sigmoid"),
        op.Multiply("m", ("s", "g2")),
        op.Pool("p1", ("m",), "average", (3, 3), (2, 2), (1, 1), count_padding=False),
        op.Pool("p2", ("m",), "max", (3, 3), (2, 2), (1, 1)),
        op.Concatenate("cat", ("p1", "p2")),
        _norm("n2", "cat", affine=False, eps=1e-3),
        op.Activation("a3", ("n2",), "hardswish"),
        op.AdaptivePool("ap", ("a3",), "max", (3, 5)),
        op.Scale("sc", ("ap",), 0.5, -1.0),
        op.Reshape("r", ("sc",), (180,)),
        features=180,
    )


def order_of_students() -> Graph:
    """Convolution, ReLU, BatchNorm, dropout; two uses of one layer; a window of the whole map at the end."""
    nodes: list[Node] = []
    source = IMAGE
    for i, kernel in enumerate(("c0.weight", "c1.weight", "c1.weight")):
        nodes += [
            op.Convolution(f"c{i}", (source,), 8, kernel, padding=(1, 1)),
            op.Activation(f"r{i}", (f"c{i}",), "relu"),
            _norm(f"n{i}", f"r{i}"),
            op.Dropout(f"d{i}", (f"n{i}",), 0.05),
            op.Pool(f"p{i}", (f"d{i}",), "max", (2, 2), (2, 2), ceil=True),
        ]
        source = f"p{i}"
    return Graph(
        (
            *nodes,
            op.Convolution("head", (source,), 10, "head.weight", "head.bias", (4, 4)),
            op.Reshape("flat", ("head",), (10,)),
            op.LogSoftmax("end", ("flat",)),
        )
    )


def chain() -> Graph:
    """A chain that the small C and int8 take: pooling before ReLU, a linear layer on averages."""
    return Graph(
        (
            op.Convolution("c0", (IMAGE,), 8, "c0.weight", "c0.bias"),
            op.Pool("p0", ("c0",), "max", (2, 2), (2, 2)),
            op.Activation("r0", ("p0",), "relu"),
            op.Convolution("c1", ("r0",), 12, "c1.weight", padding=(1, 1)),
            _norm("n1", "c1"),
            op.Activation("r1", ("n1",), "relu"),
            op.Pool("g", ("r1",), "average", (13, 13), (13, 13)),
            op.Reshape("flat", ("g",), (12,)),
            op.Linear("out", ("flat",), 10, "out.weight", "out.bias"),
        )
    )


def ending_in_softmax(graph: Graph) -> Graph:
    """A graph that ends in logits, with a softmax of its own behind them."""
    return Graph((*graph.nodes, op.Softmax("probabilities", (graph.nodes[-1].name,))))


def functions(function: str) -> Graph:
    """A small graph with one function of each element."""
    weight = "slope" if function == "prelu" else None
    positive = function == "rsqrt"
    return _ended(
        op.Convolution(
            "logits", (IMAGE,), 2, "c.weight", "c.bias", (7, 7), (7, 7)
        ),  # a name that ONNX has, too
        *([op.Activation("above", ("logits",), "sigmoid")] if positive else []),
        op.Activation("a", ("above" if positive else "logits",), function, weight=weight),
        op.Reshape("r", ("a",), (32,)),
        features=32,
    )


def uneven_pools() -> Graph:
    """Adaptive pools whose windows overlap, a change of shape to maps, and a softmax at the end."""
    return Graph(
        (
            op.AdaptivePool("a", (IMAGE,), "average", (9, 11)),
            op.Reshape("maps", ("a",), (11, 3, 3)),
            op.Add("twice", ("maps", "maps", "maps")),
            op.AdaptivePool("b", ("twice",), "max", (2, 2)),
            op.Reshape("r", ("b",), (44,)),
            op.Linear("out", ("r",), 10, "out.weight"),
            op.Softmax("end", ("out",)),
        )
    )


def own_tensors() -> Graph:
    """A scale of each channel, one of everything, and a mean over channels."""
    return _ended(
        op.Convolution("c", (IMAGE,), 6, "c.weight", kernel=(4, 4), stride=(4, 4)),
        op.Convolution("s", ("c",), 6, "scale", kernel=(1, 1), groups=6, weight_shape=(1, 6, 1, 1)),
        op.Reshape("one", ("s",), (1, 42, 7)),
        op.Convolution("n", ("one",), 1, "number", kernel=(1, 1), weight_shape=()),
        op.Reshape("table", ("n",), (1, 6, 49)),
        op.AdaptivePool("mean", ("table",), "average", (1, 49)),
        op.Reshape("r", ("mean",), (49,)),
        features=49,
    )


GRAPHS = {
    "own tensors": own_tensors(),
    "everything": everything(),
    "order of students": order_of_students(),
    "chain": chain(),
    "uneven pools": uneven_pools(),
    **{name: functions(name) for name in op.FUNCTIONS},
}


def weights_of(graph: Graph) -> Tensors:
    """Return weights that give logits of a sensible size, with variances above 0."""
    generator = np.random.default_rng(5)

    def values(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if name.endswith(("running_var", "slopes", "slope")):
            return generator.uniform(0.3, 1.5, shape).astype(np.float32)
        fan_in = max(1, int(np.prod(shape[1:])))
        return np.asarray(generator.normal(size=shape) * fan_in**-0.5, np.float32)

    return {name: values(name, shape) for name, shape in graph.tensors().items()}


def own_model(graph: Graph, temperature: float = 1.0) -> Model:
    """Return an own model of this graph with weights."""
    network = OwnModel(
        "Net",
        "model.py:Net",
        "",
        (),
        tuple(graph.tensors().items()),
        frozenset(graph.trained()),
        0,
        28,
        graph,
    )
    recipe = MINIMAL.with_changes(architecture=network)
    return Model("own", recipe, weights_of(graph), temperature)


def expected_logits(model: Model, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what PyTorch computes of uint8 images (N, 28, 28), in float64, up to a softmax."""
    graph = model.recipe.architecture.graph
    assert graph is not None
    if isinstance(graph.nodes[-1], op.Softmax):
        graph = Graph(graph.nodes[:-1])
    return _in_torch(graph, model, images).logits.numpy()


def expected_outputs(model: Model, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what the whole module gives in PyTorch of uint8 images (N, 28, 28), in float64."""
    graph = model.recipe.architecture.graph
    assert graph is not None
    return _in_torch(graph, model, images).outputs.numpy()


class _InTorch(NamedTuple):
    logits: torch.Tensor
    outputs: torch.Tensor


def _in_torch(graph: Graph, model: Model, images: NDArray[np.uint8]) -> _InTorch:
    module = GraphModule(graph).double().eval()
    module.load_state_dict({name: torch.from_numpy(value) for name, value in model.weights.items()})
    with torch.no_grad():
        x = (torch.from_numpy(images[:, None]).double() / 255 - MEAN) / STANDARD_DEVIATION
        return _InTorch(module.logits(x), module(x))
