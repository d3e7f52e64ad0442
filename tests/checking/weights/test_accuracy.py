"""A model that is right only under one normalisation, and weights files of each kind."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.support.submissions import GOOD
from tests.support.trained_student import trained
from under20k.checking.weights.accuracy import measure
from under20k.checking.weights.normalisation import CANDIDATES
from under20k.cli.main import main
from under20k.data import Split
from under20k.runs.evaluate import evaluate
from under20k.runs.train import train


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


@pytest.mark.parametrize("name", list(CANDIDATES)[:5])
def test_the_normalisation_is_found_without_batch_norm(name):
    model, split = templates(*CANDIDATES[name])
    found = measure(model, model.state_dict(), split, split)
    assert (found.normalisation, found.correct, found.accuracy) == (name, 10, 1.0)
    assert found.normalisation_is == "found"


def test_an_unusual_normalisation_gives_a_warning_and_can_be_given():
    """And a given one is taken, inverted too."""
    model, split = templates(12.5, -3.0)
    found = measure(model, model.state_dict(), split, split)
    assert found.accuracy is None
    assert "give it with --mean and --std" in found.warning
    given = measure(model, model.state_dict(), split, split, (12.5, -3.0))
    assert (given.correct, given.normalisation, given.normalisation_is) == (
        10,
        "(x/255 − 12.5) / -3",
        "given",
    )


class Remembering(nn.Module):
    """A network of random weights, whose BatchNorm has seen images under a normalisation."""

    def __init__(self, first: str, split: Split, mean: float, std: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        conv, norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.body = nn.Sequential(
            *{
                "conv": (conv, norm, nn.ReLU()),
                "conv, relu": (conv, nn.ReLU(), norm),
                "nothing": (nn.BatchNorm2d(1), conv),
                "linear": (nn.Flatten(), nn.Linear(784, 6), nn.BatchNorm1d(6), nn.Unflatten(1, (6, 1, 1))),
            }[first]
        )
        self.head = nn.Linear(6, 10)
        x = (torch.from_numpy(split.images[:2000].copy()).float()[:, None] / 255 - mean) / std
        for layer in self.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.momentum = None  # the mean of all it sees
        with torch.no_grad():
            self(x)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


@pytest.mark.parametrize("first", ["conv", "conv, relu", "nothing", "linear"])
@pytest.mark.parametrize(("mean", "std"), [(0.2, 0.7), (0.1307 / 255, 0.3081 / 255), (0.6, -0.4)])
def test_the_normalisation_is_found_from_batch_norm(first, mean, std, mnist):
    """Up to the sign where BatchNorm comes first: it remembers one mean and one variance."""
    model = Remembering(first, mnist.train, mean, std)
    found = measure(model, model.state_dict(), mnist.train, mnist.validation)
    if first == "nothing" and found.std * std < 0:
        return
    assert found.batch_norm_distance < 0.01
    assert found.std == pytest.approx(std, rel=0.05)
    assert found.mean == pytest.approx(mean, abs=0.03 * abs(std) + 0.02)


def test_batch_norm_of_other_images_gives_a_warning_and_no_accuracy(mnist):
    model = Remembering("conv", mnist.train, 0.0, 1.0)
    with torch.no_grad():
        model.body[1].running_mean.copy_(torch.tensor([9.0, -7, 5, -3, 8, -6]))
    found = measure(model, model.state_dict(), mnist.train, mnist.validation)
    assert found.accuracy is None
    assert found.correct is None
    assert found.warning.startswith("no accuracy: the normalisation of the inputs cannot be found")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("(x/255 − 0.1307) / 0.3081", "w.safetensors"),
        ("x/255", "w.pth"),
        ("(x/255 − 0.5) / 0.5", "w.pt"),
        ("1 − x/255", "w.ckpt"),
        ("(x − 0.1307) / 0.3081, x from 0 to 255", "w.pth.tar"),
        ("(x/255 − 0.449) / 0.226 (ImageNet's, grey)", "w.bin"),
        ("(x/255 − 0.286) / 0.353 (Fashion-MNIST's)", "w.safetensors"),
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
def test_the_accuracy_of_a_runs_weights_equals_evaluate(tmp_path, monkeypatch, capsys, mnist):
    monkeypatch.chdir(tmp_path)
    run = train("minimal", architecture="4p,6p|l", epochs=1, name="small")
    figures = evaluate(run)
    (tmp_path / "net.py").write_text(
        "from under20k.recipe.architecture import Architecture\n"
        "from under20k.engine.module import build\n\n\n"
        "def make(text='4p,6p|l'):\n    return build(Architecture.parse(text))\n"
    )
    weights = ("--accuracy", "runs/small/model.safetensors")
    main(["check", "net.py:make", "--trust", "--arg", "text=4p,6p|l", *weights])
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert "inputs (x/255 − 0.1307) / 0.3081, found from the weights" in words
    (line,) = [line for line in out.splitlines() if "  measured  " in line]
    assert int(line.partition("(")[2].split()[0].replace(",", "")) == pytest.approx(figures.correct, abs=2)
    assert main(["check", "net.py:make", "--trust", "--test", *weights]) == 1  # no dropout
    assert " of 10,000 test images)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--test"], "name the weights"),
        (["--accuracy", "none.pth"], "none.pth is not a file"),
        (["--accuracy", "net.py"], "the weights file has an unknown format"),
        (["--accuracy", "damaged.safetensors"], "the weights file has an unknown format"),
        (["--accuracy", "other.safetensors"], "the weights are not the model's: the file lacks a.weight"),
        (["--accuracy", "whole.pth"], "holds a whole pickled object, torch.nn.modules.linear.Linear, which"),
        (["--accuracy", "other.safetensors", "--mean", "0"], "--mean and --std"),
        (["--mean", "0", "--std", "1"], "--mean and --std are only valid together, and with --accuracy"),
        (["--accuracy", "other.safetensors", "--mean", "0", "--std", "0"], "--std other than 0"),
    ],
)
def test_bad_weights_are_reported(tmp_path, monkeypatch, capsys, mnist, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(GOOD)
    (tmp_path / "damaged.safetensors").write_bytes(b"\x08" + bytes(30))
    save_file({"other": torch.zeros(1)}, "other.safetensors")
    torch.save(nn.Linear(3, 2), "whole.pth")
    assert main(["check", "net.py:Net", "--trust", *options]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert (out, len(err.splitlines())) == ("", 1)
    assert "\x1b" not in err
    assert "broken" not in err
