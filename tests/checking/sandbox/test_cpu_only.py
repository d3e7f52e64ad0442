"""Models that ask for a GPU where there is none, in calls long after they were made."""

import copy

import pytest
import torch
from torch import nn

from under20k.checking.sandbox.cpu_only import available, keep_on_cpu

pytestmark = pytest.mark.skipif(available("cuda"), reason="there is a GPU")


class Asking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        if len(x) == 3:
            raise ValueError("three images")
        return self.fc(x.flatten(1).cuda() + torch.zeros(784, device="cuda").to("cuda:0"))


def test_each_call_runs_on_the_cpu():
    images = torch.randn(2, 1, 28, 28)
    with pytest.raises(AssertionError, match="CUDA"):
        Asking()(images)
    model = keep_on_cpu(Asking())
    for asking in (model, copy.deepcopy(model)):
        assert asking(images).shape == (2, 10)
        with pytest.raises(ValueError, match="three images"):
            asking(torch.randn(3, 1, 28, 28))
        with pytest.raises(AssertionError, match="CUDA"):  # nothing is left of the mode
            torch.zeros(1, device="cuda")
        assert asking(images).device.type == "cpu"
