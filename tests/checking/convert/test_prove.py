"""A proof holds for what was converted, and for nothing else."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.support.own_models import UNPROVED, ZOO
from under20k.checking.convert.convert import convert
from under20k.checking.convert.prove import prove
from under20k.checking.convert.reasons import NotConvertible
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import Graph


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["plain net", "residual", "squeeze and excitation", "rows", "cumulative BatchNorm"]
)
def test_what_was_converted_holds(name):
    torch.manual_seed(1)
    model = ZOO[name]()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    prove(model, convert(model))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert model.training


class NamedAsMethods(nn.Module):
    """Has layers whose names torch's modules, or the graph's own, use for something else."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = nn.Conv2d(1, 4, 3, stride=3)
        self.step = nn.BatchNorm2d(4)
        self.logits = nn.Sequential(nn.Linear(4, 10))

    def forward(self, x):
        return self.logits(self.step(self.graph(x)).relu().mean((2, 3)))


class PaddedHead(nn.Module):
    """Ends in a 3×3 convolution of the one pixel that is left: no head of the line of text."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.head = nn.Conv2d(4, 10, 3, padding=1)

    def forward(self, x):
        return self.head(nn.functional.adaptive_avg_pool2d(self.first(x).relu(), 1)).flatten(1)


@pytest.mark.parametrize("kind", [NamedAsMethods, PaddedHead])
def test_what_looks_like_something_else_holds_too(kind):
    torch.manual_seed(1)
    model = kind()
    prove(model, convert(model))


def changed(graph: Graph, operation: type, **fields) -> Graph:
    """The graph with other settings in the first node of a kind."""
    nodes = list(graph.nodes)
    index = next(index for index, node in enumerate(nodes) if isinstance(node, operation))
    nodes[index] = replace(nodes[index], **fields)
    return Graph(tuple(nodes))


@pytest.mark.parametrize(
    ("operation", "fields", "what"),
    [
        (op.Convolution, {"bias": None}, "its graph gives another gradient of conv1.0.bias"),
        (op.Activation, {"function": "leaky_relu", "slope": 0.02}, "its graph gives another loss"),
        (op.BatchNorm, {"momentum": 0.11}, "its graph gives another conv1.1.running_mean after the steps"),
        (op.BatchNorm, {"eps": 2e-3}, "its graph gives another loss"),
        (op.Dropout, {"stream": 7}, "its graph gives another loss"),
        (op.Dropout, {"channels": True}, "its graph gives another loss"),
        (op.Pool, {"kind": "average"}, "its graph gives another loss"),
    ],
)
def test_a_graph_of_something_else_is_refused(operation, fields, what):
    torch.manual_seed(2)
    model = ZOO["norm first"]()
    with pytest.raises(NotConvertible) as error:
        prove(model, changed(convert(model), operation, **fields))
    assert str(error.value).startswith("NormFirst.forward is not what a run of it shows: " + what)


@pytest.mark.parametrize("name", UNPROVED)
def test_a_model_that_computes_something_else_at_another_call_is_refused(name):
    model = UNPROVED[name]()
    graph = convert(model)
    with pytest.raises(NotConvertible, match="is not what a run of it shows: its graph gives another loss"):
        prove(model, graph)


def test_a_proof_of_a_students_model_takes_less_than_a_second():
    model = ZOO["residual"]()
    graph = convert(model)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        took = []
        for _ in range(3):
            began = time.process_time()
            prove(model, graph)
            took.append(time.process_time() - began)
    finally:
        torch.set_num_threads(threads)
    assert min(took) < 1
