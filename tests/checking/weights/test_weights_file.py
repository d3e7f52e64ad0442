"""Weights as scripts save them: nested, prefixed, beside numbers and objects of every kind. Nothing runs."""

import argparse
import collections
import pathlib
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from under20k.checking.weights.weights_file import WeightsError, load_weights, match


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.l = nn.Linear(4, 10)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Net()


class AttributeDict(dict):
    """As Lightning's."""


def runs(*_: object) -> None:
    raise AssertionError("it was unpickled")


class Runs:
    def __reduce__(self):
        return runs, ("x",)


MODEL = Net()
STATE = MODEL.state_dict()
ADAM = torch.optim.Adam(MODEL.parameters()).state_dict()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


GOOD = {
    "plain": STATE,
    "with a NumPy number": {"model_state_dict": STATE, "best_acc": np.float64(99.4)},
    "net and acc": {"net": STATE, "acc": 99.4, "epoch": 3},
    "Lightning's": {
        "state_dict": prefixed("model."),
        "pytorch-lightning_version": "2.0",
        "hyper_parameters": AttributeDict(lr=1, path=pathlib.PurePosixPath("x")),
        "callbacks": {"best": np.float32(2)},
        "optimizer_states": [ADAM],
    },
    "ImageNet example's": {
        "state_dict": prefixed("module."),
        "args": argparse.Namespace(lr=0.1),
        "optimizer": ADAM,
    },
    "two prefixes": prefixed("_orig_mod.module."),
    "any prefix": {"state": prefixed("my_net.")},
    "NumPy arrays": {name: value.numpy() for name, value in STATE.items()},
    "a history beside": {
        "model": STATE,
        "history": np.arange(5),
        "names": np.array(["a", "b"]),
        "losses": collections.defaultdict(list, {"train": [np.float64(1)]}),
    },
    "a list": [STATE, ADAM],
    "deep": {"a": {"b": {"c": STATE}}},
    "by modules": {"f": MODEL.f.state_dict(), "l": MODEL.l.state_dict()},
    "half": {name: value.half() for name, value in STATE.items()},
    "parameters": {name: nn.Parameter(value) for name, value in STATE.items() if value.is_floating_point()},
    "an epoch among them": {**STATE, "epoch": torch.tensor(3)},
    "an average beside": {"model": STATE, "ema": {name: value + 1 for name, value in STATE.items()}},
    "code that is not run": {"model": STATE, "e": Runs()},
}


def assert_found(state: object, model: nn.Module = MODEL, own: str = "") -> None:
    found = match(state, model)
    named = {name for name in STATE if not name.endswith("num_batches_tracked")}
    assert found.keys() == {own + name for name in named}
    for name in named:
        assert torch.allclose(found[own + name].float(), STATE[name], atol=1e-3), name


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize(("name", "zipped"), [("w.pth", True), ("best.pth.tar", False)])
def test_weights_of_each_kind(kind, name, zipped, tmp_path):
    torch.save(GOOD[kind], tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert_found(load_weights(tmp_path / name))


@pytest.mark.parametrize("name", ["w.pt", "w.bin", "last.ckpt", "w", "w.npz", "w.safetensors"])
def test_the_file_name_does_not_decide_the_format(name, tmp_path):
    torch.save(STATE, tmp_path / name)
    assert_found(load_weights(tmp_path / name))


def test_other_formats(tmp_path):
    save_file(STATE, tmp_path / "w.bin")
    assert_found(load_weights(tmp_path / "w.bin"))
    np.savez(tmp_path / "w.npz", **{name: value.numpy() for name, value in STATE.items()})
    assert_found(load_weights(tmp_path / "w.npz"))


@pytest.mark.parametrize("kind", ["plain", "Lightning's", "ImageNet example's"])
def test_a_model_that_wraps_what_was_saved(kind):
    assert_found(GOOD[kind], Wrapped(), "net.")


WRONG = {
    "another's": (
        {"x.weight": torch.zeros(2)},
        r"the file lacks f\.0\.weight, f\.0\.bias, f\.1\.weight and 5",
    ),
    "another shape": (
        {**STATE, "l.bias": torch.zeros(5)},
        "l.bias is 5 in the file and 10 in the model",
    ),
    "more": ({**STATE, "g.weight": torch.zeros(2)}, "the model lacks the file's g.weight"),
    "numbers": ([1, 2], "holds no tensors by name"),
    "a model": (MODEL, "holds a whole pickled object"),
    "a model inside": ({"model": MODEL, "epoch": 1}, "holds a whole pickled object"),
    "code": (Runs(), "holds a whole pickled object"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_refusals_name_the_difference(kind, zipped, tmp_path):
    value, words = WRONG[kind]
    torch.save(value, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=words) as refused:
        match(load_weights(tmp_path / "w.pth"), MODEL)
    assert "weights_only" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"PK\x03\x04",
        b"\x08" + bytes(30),
        b"\x80\x02",
        pickle.dumps({"a": print}),
        bytes(8) + b"{",
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(content, tmp_path):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"the weights file .*save model\.state_dict"):
        match(load_weights(tmp_path / "w.pth"), MODEL)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_archive_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(MODEL.l), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="TorchScript archive"):
        load_weights(tmp_path / "w.pt")


def test_a_file_cut_short_is_refused(tmp_path):
    torch.save(STATE, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for length in range(0, len(content), 211):
        (tmp_path / "w.pth").write_bytes(content[:length])
        with pytest.raises(WeightsError):
            match(load_weights(tmp_path / "w.pth"), MODEL)
