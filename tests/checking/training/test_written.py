"""The source of models that a program has made, and what tells them apart."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from under20k.checking.training.objects import training_of_factory, training_of_object
from under20k.checking.training.written import classes_of, files_of, source_of
from under20k.recipe.named import MINIMAL

CODE = """import torch
from torch import nn

SEEDS = 2


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 5, stride=3)

    def forward(self, x):
        return torch.relu(self.conv(x))


class Net(nn.Module):
    def __init__(self, gain=1.0):
        super().__init__()
        self.body = nn.Sequential(Block(1), Block(4))
        self.head = nn.Linear(4, 10)
        with torch.no_grad():
            self.head.weight *= gain

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""


def written_in(folder: Path, text: str = CODE) -> ModuleType:
    """The module of a file with this text."""
    folder.mkdir(exist_ok=True)
    (folder / "nets.py").write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("nets", folder / "nets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sha256(factory) -> str:
    return training_of_factory(factory, [3], MINIMAL)[0].recipe.own.sha256


def test_the_files_are_those_of_the_authors_classes(tmp_path):
    net = written_in(tmp_path).Net()
    assert {kind.__name__ for kind in classes_of(net)} == {"Net", "Block"}  # none of torch's
    assert files_of(net) == {"nets.py": CODE.encode()}
    source = source_of(net)
    assert source.startswith("class Net(nn.Module):")
    assert "class Block" in source
    assert "SEEDS" not in source


def test_what_stands_beside_a_class_makes_no_other_model_of_it(tmp_path):
    first = sha256(written_in(tmp_path / "a").Net)
    assert sha256(written_in(tmp_path / "b", CODE.replace("SEEDS = 2", "SEEDS = 10")).Net) == first
    other = CODE.replace("torch.relu(self.conv(x))", "self.conv(x).relu()")
    assert sha256(written_in(tmp_path / "c", other).Net) != first


def test_arguments_that_only_the_weights_show_make_another_model(tmp_path):
    net = written_in(tmp_path).Net
    assert sha256(lambda: net(gain=0.5)) != sha256(net)
    assert sha256(lambda: net(gain=0.5)) == sha256(lambda: net(0.5))
    assert sha256(lambda: net()) == sha256(net)


def test_a_module_is_known_by_the_weights_that_it_has(tmp_path):
    net = written_in(tmp_path).Net()
    first = training_of_object(net, MINIMAL)[0].recipe.own
    assert training_of_object(net, MINIMAL)[0].recipe.own == first
    with torch.no_grad():
        net.head.bias += 1
    assert training_of_object(net, MINIMAL)[0].recipe.own != first


def test_lazy_layers_have_weights_of_each_seed():
    training, _ = training_of_factory(
        lambda: nn.Sequential(nn.Conv2d(1, 2, 5, 4), nn.Flatten(), nn.LazyLinear(10)), [0, 1], MINIMAL
    )
    first, second = (training.start(seed).initial for seed in (0, 1))
    assert first.keys() == second.keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert (first["2.weight"] != second["2.weight"]).any()


def test_random_numbers_of_the_program_go_on_as_if_no_model_had_been_made():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    training_of_factory(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), [0, 1], MINIMAL)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("text", ["class Net(", "x = 1"])
def test_a_file_that_has_changed_since_has_no_source(tmp_path, text):
    net = written_in(tmp_path).Net()
    (tmp_path / "nets.py").write_text(text)
    assert source_of(net).strip() == ""
