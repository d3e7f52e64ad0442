"""A model that is right only under one normalisation, and weights files of each kind."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from submissions import GOOD
from torch import nn
from torch.nn import functional as F

from under20k.api import evaluate, train
from under20k.checking.accuracy import CANDIDATES, load_weights, measure
from under20k.cli.main import main
from under20k.data import Mnist, Split


def templates(mean: float, sd: float) -> tuple[nn.Module, Split]:
    """Ten images, one a class, and the least-squares layer that tells them apart under a normalisation."""
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28)).astype(np.uint8)
    labels = np.arange(10, dtype=np.uint8)
    x = (torch.from_numpy(images).float().flatten(1) / 255 - mean) / sd

    class Nearest(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.templates = nn.Parameter(x)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            near = torch.cdist(batch.flatten(1), self.templates)
            # Off the templates' normalisation nothing is near, and the answer is 0.
            return torch.where(near.amin(1, keepdim=True) < 1e-1, -near, torch.eye(10)[0])

    return Nearest(), Split("validation", images, labels)


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_normalisation_is_found(name):
    model, split = templates(*CANDIDATES[name])
    found = measure(model, model.state_dict(), split, split)
    assert (found["normalisation"], found["correct"], found["accuracy"]) == (name, 10, 1.0)
    assert sorted(found["correct_by_normalisation"].values()) == [1, 1, 1, 1, 10]


def test_weights_of_each_kind(tmp_path):
    state = nn.Linear(3, 2).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save(
        {"model_state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "w.pt"
    )
    for name in ("w.safetensors", "w.pth", "w.pt"):
        loaded = load_weights(tmp_path / name)
        assert all(torch.equal(loaded[key], state[key]) for key in state)
        assert loaded.keys() == state.keys()


def test_a_pickled_model_is_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "w.pth")
    with pytest.raises(Exception, match="weights_only"):
        load_weights(tmp_path / "w.pth")


def test_weights_of_another_model_are_refused():
    model, split = templates(0, 1)
    with pytest.raises(RuntimeError, match="not the model's"):
        measure(model, {"other": torch.zeros(1)}, split, split)


def student() -> nn.Module:
    space: dict = {}
    exec(GOOD, space)
    return space["Net"]()


def trained(mnist: Mnist, mean: float, sd: float, images: int = 6_000) -> nn.Module:
    """The student's model, trained for two epochs on a part of the train split, under a normalisation."""
    torch.manual_seed(0)
    model, threads = student(), torch.get_num_threads()
    torch.set_num_threads(1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x = (torch.from_numpy(mnist.train.images[:images].copy()).float()[:, None] / 255 - mean) / sd
    y = torch.from_numpy(mnist.train.labels[:images].astype(np.int64))
    for _ in range(2):
        for part in torch.randperm(images).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    torch.set_num_threads(threads)
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("(x/255 − 0.1307) / 0.3081", "w.safetensors"),
        ("x/255", "w.pth"),
        ("(x/255 − 0.5) / 0.5", "w.pt"),
        ("1 − x/255", "w.safetensors"),
    ],
)
def test_the_accuracy_of_trained_weights(tmp_path, monkeypatch, capsys, mnist, name, file):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(GOOD)
    mean, sd = CANDIDATES[name]
    model = trained(mnist, mean, sd)
    state = model.state_dict()
    save_file(state, file) if file.endswith("safetensors") else torch.save({"state_dict": state}, file)
    code = main(["check", "net.py:Net", "--trust", "--json", "--accuracy", file])
    found = json.loads(capsys.readouterr().out)["accuracy"]
    images = torch.from_numpy(mnist.validation.images.copy()).float()[:, None]
    with torch.no_grad():
        right = (model((images / 255 - mean) / sd).argmax(1).numpy() == mnist.validation.labels).sum()
    assert (code, found["split"], found["images"], found["normalisation"]) == (0, "validation", 10_000, name)
    assert found["correct"] == pytest.approx(right, abs=2)  # the batches differ, and so does the rounding
    assert found["accuracy"] == found["correct"] / 10_000 > 0.9


@pytest.mark.slow
def test_the_accuracy_of_a_runs_weights_is_the_evaluations(tmp_path, monkeypatch, capsys, mnist):
    monkeypatch.chdir(tmp_path)
    run = train("minimal", architecture="4p,6p|l", epochs=1, name="small")
    figures, _, _ = evaluate(run)
    (tmp_path / "net.py").write_text(
        "from under20k.architecture import Architecture\nfrom under20k.engine.network import build\n\n\n"
        "def make(text='4p,6p|l'):\n    return build(Architecture.parse(text))\n"
    )
    weights = ("--accuracy", "runs/small/model.safetensors")
    main(["check", "net.py:make", "--trust", "--arg", "text=4p,6p|l", *weights])
    out = capsys.readouterr().out
    assert "inputs (x/255 − 0.1307) / 0.3081, which fits the train images best" in out
    (line,) = [line for line in out.splitlines() if line.startswith("accuracy: ")]
    assert int(line.partition("(")[2].split()[0].replace(",", "")) == pytest.approx(figures.correct, abs=2)
    assert main(["check", "net.py:make", "--trust", "--test", *weights]) == 1  # no dropout
    assert " of 10,000 test images)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--test"], "name the weights"),
        (["--accuracy", "none.pth"], "none.pth is not a file"),
        (["--accuracy", "net.py"], "net.py is neither .safetensors nor .pth nor .pt"),
        (["--accuracy", "damaged.safetensors"], "the weights cannot be read"),
        (["--accuracy", "other.safetensors"], "the weights are not the model's: missing ['a.weight'"),
    ],
)
def test_weights_that_are_none_are_told(tmp_path, monkeypatch, capsys, mnist, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(GOOD)
    (tmp_path / "damaged.safetensors").write_bytes(b"\x08" + bytes(30))
    save_file({"other": torch.zeros(1)}, "other.safetensors")
    assert main(["check", "net.py:Net", "--trust", *options]) in (1, 2)
    out, err = capsys.readouterr()
    assert words in out + err
    assert len((out + err).splitlines()) == 1
