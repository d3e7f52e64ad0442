"""Modules of PyTorch are judged by the function as files are by the command."""

import pytest
import torch
from torch import nn

import under20k
from under20k.errors import UserError


class Net(nn.Module):
    """It drops in evaluation, and has no BatchNorm."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3)
        self.conv2 = nn.Conv2d(channels, 10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.dropout(torch.relu(self.conv(x)), 0.5)
        return self.conv2(x).mean((2, 3))


@pytest.mark.parametrize("target", [Net, Net(), lambda: Net(8)])
def test_a_class_a_module_and_a_function_are_judged(target):
    failed = [finding.rule for finding in under20k.check(target) if not finding.passed]
    assert failed[:2] == ["batch_norm", "dropout_off_in_evaluation"]


def test_the_profile_holds_for_modules(tmp_path):
    (tmp_path / "strict.toml").write_text("[limits]\nparameters = 100\n")
    found = {finding.rule: finding for finding in under20k.check(Net(), str(tmp_path / "strict.toml"))}
    assert not found["parameters"].passed
    assert under20k.check(Net())[0].passed


def test_a_module_is_left_as_it_was():
    module = nn.Sequential(nn.Conv2d(1, 10, 28), nn.BatchNorm2d(10), nn.Flatten()).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    under20k.check(module)
    assert not module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("target", [5, None, int])
def test_what_is_no_model_is_refused(target):
    with pytest.raises(
        UserError, match=r"^target: .*; expected a recipe, a run, .* a PyTorch module or what"
    ):
        under20k.check(target)


def test_a_model_for_other_images_is_named():
    with pytest.raises(UserError, match="Conv2d: takes images of 5×28×28, not 1×28×28"):
        under20k.check(nn.Conv2d(5, 3, 3))
