"""Graphs of reductions over axes, and of ways of calling functions, against PyTorch's own, in float64."""

import pytest
import torch
from torch import nn

from under20k.checking.convert.convert import convert
from under20k.checking.convert.prove import prove
from under20k.checking.graph.form import Form
from under20k.engine.graph_module import GraphModule

FUNCTIONS = {
    "maxout of maps": lambda m, x: m.head(m.conv(x).view(-1, 2, 8, 14, 14).max(1)[0]),
    "minimum of groups": lambda m, x: m.head(m.conv(x).view(-1, 2, 8, 14, 14).amin(dim=1)),
    "values of a minimum": lambda m, x: m.head(torch.min(m.conv(x).view(-1, 2, 8, 14, 14), dim=1).values),
    "minimum over maps": lambda m, x: m.last(m.conv(x).amin((2, 3))),
    "smaller of two": lambda m, x: m.last(torch.min(m.conv(x), -m.conv(x)).mean((2, 3))),
    "at most": lambda m, x: m.last(m.conv(x).clamp_max(0.2).flatten(2).mean(2)),
    "at most, by name": lambda m, x: m.last(torch.clamp_max(m.conv(x), max=0.2).mean((2, 3))),
    "product by name": lambda m, x: torch.matmul(other=m.matrix, input=m.conv(x).mean((2, 3))),
    "product of mm": lambda m, x: torch.mm(m.conv(x).mean((2, 3)), mat2=m.matrix),
}


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.last, self.matrix = nn.Linear(16, 10), nn.Parameter(torch.randn(16, 10))
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
