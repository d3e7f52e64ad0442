"""Graphs of limits, such as ``clamp``, against PyTorch's own."""

import math

import pytest
import torch
from torch import nn

from under20k.checking.convert.convert import convert
from under20k.checking.convert.reasons import NotConvertible
from under20k.engine.graph_module import GraphModule

VALUES = (0.0, 1e-7, 3e-6, 0.1, 1 / 3, 1.0, 5.9, 6.0, 77.7, 9999.0, 12345.678, 3e6)
LIMITS = [
    *((None, 1e9), (-1e4, 1e4), (0.1, math.inf), (1e-6, None), (-math.inf, 6.0), (-1e9, -0.5)),
    *((0.0, math.inf), (0.0, 6.0), (0.5, 0.2), (-math.inf, math.inf), (torch.tensor(-0.3), 0.7)),
]


class Limited(nn.Module):
    """Ten pixels of an image, within limits."""

    def __init__(self, low, high) -> None:
        super().__init__()
        self.limits = low, high
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return torch.clamp(self.fc(x.flatten(1)), *self.limits)


def computed(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the model's graph makes of the output of its linear layer."""
    graph = convert(model)
    module = GraphModule(graph).to(x.dtype)
    with torch.no_grad():
        (module.get_parameter("fc.weight"))[:] = torch.eye(10, 784)
    return module(nn.functional.pad(x, (0, 774)).view(-1, 1, 28, 28))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_values_inside_the_limits_keep_their_bits(limits, dtype):
    """Outside, the limit comes out but for rounding at the size of the value."""
    low, high = (limit if limit is None else float(limit) for limit in limits)
    x = torch.tensor(VALUES, dtype=dtype)
    x = torch.cat((x, -x))[:20].view(2, 10).requires_grad_()
    expected = torch.clamp(x, low, high)
    found = computed(Limited(*limits), x)
    inside = expected == x
    assert torch.equal(found[inside], x[inside])
    error = (found - expected).abs() / torch.maximum(x.abs(), expected.abs())
    assert bool((error[~inside] <= 2 * torch.finfo(dtype).eps).all())
    gradients = [torch.autograd.grad(y.sum(), x)[0] for y in (found, expected)]
    at_limit = inside & ((x == low) | (x == high))
    assert torch.equal(gradients[0][~at_limit], gradients[1][~at_limit])


def test_a_small_limit_is_kept_far_below_it():
    found = computed(Limited(1e-6, None), torch.full((1, 10), -1000.0))
    assert found.flatten().tolist() == pytest.approx([1e-6] * 10)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [((None, 1e35), "with a limit of 1e+35"), ((math.inf, None), "inf"), ((math.nan, 1.0), "not numbers")],
)
def test_limits_that_a_graph_cannot_have(limits, reason):
    with pytest.raises(NotConvertible, match=r"^Limited.forward uses torch.clamp with ") as error:
        convert(Limited(*limits))
    assert reason in str(error.value)
