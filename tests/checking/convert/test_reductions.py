"""Graphs of reductions over axes against PyTorch's own, in float64."""

import pytest
import torch
from torch import nn

from under20k.checking.convert.convert import convert
from under20k.checking.convert.prove import prove
from under20k.checking.graph.form import Form
from under20k.engine.graph_module import GraphModule

FUNCTIONS = {
    "maxout of maps": lambda m, x: m.head(m.conv(x).view(-1, 2, 8, 14, 14).max(1)[0]),
}


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.head = nn.Sequential(nn.MaxPool2d(7), nn.Flatten(), nn.Linear(32, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_reduction_is_that_of_the_model(name):
    torch.manual_seed(0)
    model = Net(FUNCTIONS[name])
    graph = convert(model)
    prove(model, graph, Form())
    module = GraphModule(graph).double()
    module.load_state_dict({key: model.state_dict()[key] for key in graph.tensors()})
    images = torch.randn(5, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(module(images), model.double()(images), rtol=1e-12, atol=1e-12)
