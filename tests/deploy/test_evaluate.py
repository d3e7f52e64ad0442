"""``evaluate`` of a user's own model with its weights, against the module itself in plain PyTorch."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.own_files import MODEL, write_model
from tests.support.trained_student import trained
from under20k import evaluate
from under20k.cli.main import main
from under20k.data import Mnist, Split, load_test
from under20k.deploy.evaluate import NOT_RECORDED
from under20k.engine.evaluation import log_softmax
from under20k.errors import InvalidValue, UserError
from under20k.runs.events import Note

HALF = {"mean": 0.5, "std": 0.5}


def model(name: str, seed: int = 0) -> nn.Module:
    space: dict = {}
    exec(MODEL, space)
    torch.manual_seed(seed)
    made = space[name]()
    made.bn.running_mean += torch.tensor([3.0, -3.0])  # as no normalisation makes them
    return made.eval()


def in_plain_torch(module: nn.Module, images: Split, mean: float, std: float) -> np.ndarray:
    pixels = torch.tensor(images.images)[:, None].float() / 255
    with torch.inference_mode():
        return module((pixels - mean) / std).numpy()


@pytest.mark.parametrize("name", ["Tiny", "Logits", "Fourier"])
def test_a_module_has_its_own_weights_and_stays_as_it_is(name: str, mnist: Mnist):
    module = model(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    notes: list = []
    found = evaluate(module, **HALF, on_event=notes.append)
    expected = in_plain_torch(module, mnist.validation, 0.5, 0.5)
    assert np.abs(log_softmax(found.logits) - log_softmax(expected)).max() < 1e-4
    right = expected.argmax(1) == mnist.validation.labels
    assert abs(found.correct - right.sum()) <= 2
    assert found.split == "validation"
    assert found.data is not None
    assert any("(x/255 − 0.5) / 0.5 as given" in note.text for note in notes)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_probabilities_get_the_loss_of_the_training(mnist: Mnist):
    module = model("Softmax")
    found = evaluate(module, **HALF)
    p = torch.tensor(in_plain_torch(module, mnist.validation, 0.5, 0.5)).double()
    labels = torch.tensor(mnist.validation.labels).long()
    # As in a run of the model, the loss takes what the model returns for logits.
    assert found.loss == pytest.approx(nn.functional.cross_entropy(p, labels).item(), rel=1e-5)
    assert np.abs(log_softmax(found.logits) - p.log().clamp(-80).numpy()).max() < 1e-3


def test_a_class_takes_the_weights_of_a_file(tmp_path: Path, mnist: Mnist):
    module = model("Tiny", seed=3)
    torch.save(module.state_dict(), tmp_path / "net.pth")
    again = evaluate(type(module), weights=tmp_path / "net.pth", **HALF)
    assert np.array_equal(again.logits, evaluate(module, **HALF).logits)


def test_weights_that_are_not_finite_are_those_of_the_file(tmp_path: Path):
    state = model("Tiny").state_dict()
    state["fc.bias"][3] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(UserError, match=r"nan.pth: fc.bias holds a value that is not finite; train again"):
        evaluate(type(model("Tiny")), weights=tmp_path / "nan.pth", **HALF)


def test_a_reading_of_the_test_set_is_said_to_be_recorded_nowhere(mnist: Mnist):
    module, notes = model("Logits"), []
    found = evaluate(module, "test", **HALF, on_event=notes.append)
    images = load_test()
    right = in_plain_torch(module, images, 0.5, 0.5).argmax(1) == images.labels
    assert (found.split, found.images) == ("test", 10_000)
    assert abs(found.correct - right.sum()) <= 2
    assert notes[-1] == Note(NOT_RECORDED)


@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        (3, {}, "run: 3; expected a Run or the folder of one"),
        (nn.Linear, {}, "without trained weights; name them with weights="),
        ("net.py:Net", {}, "net.py:Net is a model without weights"),
        ("net.py:Net", {"weights": "w"}, "pass trust=True"),
        ("net.py:Net", {"weights": "w", "trust": True}, "weights: w is not a file"),
        ("runs/none", {"weights": "w"}, "but a run has its own"),
        ("runs/none", {"mean": 0.1}, "mean: 0.1, but a run has its own; leave mean out"),
        (Path("runs/none"), {"std": 0.3}, "std: 0.3, but a run has its own"),
        ("runs/none", {"arguments": {"p": 1}}, "arguments: {'p': 1}, but a run has its own"),
        (nn.Linear(784, 10), {"arguments": {"p": 1}}, "but they are for 'model.py:Net'; leave arguments out"),
        (nn.Linear(784, 10), {"mean": 0.5}, "mean and std are only valid together"),
        (nn.Linear(784, 10), {"mean": 0.5, "std": 0.0}, "a std other than 0"),
        (nn.Linear(784, 10), {"mean": "a", "std": "b"}, "mean: 'a'; expected a number"),
        (nn.Linear(784, 10), {"mean": 0.5, "std": [0.5]}, "std: [0.5]; expected a number"),
        (nn.Linear, {"weights": 3}, "weights: 3; expected the path of a weights file"),
        ("net.py:Net", {"arguments": 3}, "arguments: 3; expected a dictionary"),
        (nn.Linear(784, 11), HALF, "Linear: "),
        ("runs/none", {}, "there is no run folder runs/none"),
    ],
)
def test_bad_input_is_one_line(value, options, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UserError, InvalidValue), match=re.escape(said)) as error:
        evaluate(value, **options)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Tiny", "Fourier"])
def test_a_file_with_weights_on_the_command_line(name: str, tmp_path, monkeypatch, mnist: Mnist, capsys):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    module = model(name)
    torch.save(module.state_dict(), "net.pth")
    typed = ["evaluate", f"model.py:{name}", "--weights", "net.pth", "--trust"]
    assert main([*typed, "--mean", "0.5", "--std", "0.5", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    expected = in_plain_torch(module, mnist.validation, 0.5, 0.5).argmax(1)
    assert abs(figures["correct"] - (expected == mnist.validation.labels).sum()) <= 2
    assert (figures["model"], figures["weights"]) == (f"model.py:{name}", "net.pth")
    assert figures["inputs"] == "(x/255 − 0.5) / 0.5"
    folder = Path("evaluations") / f"{name}-net"
    assert json.loads((folder / "validation.json").read_text()) == figures
    written = {"validation.json", "validation-confusion.png", "validation-misclassified.png"}
    assert {path.name for path in folder.iterdir()} == written
    assert main(typed) == 2  # nobody trained it, so nothing tells how its inputs were normalised
    assert "the normalisation of the inputs cannot be found" in capsys.readouterr().err


@pytest.mark.slow
def test_other_weights_of_a_model_have_a_folder_of_their_own(tmp_path, monkeypatch, mnist: Mnist, capsys):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path)
    figures = {}
    for seed, stem in enumerate("ab"):
        torch.save(model("Logits", seed).state_dict(), f"{stem}.pth")
        typed = ["evaluate", "model.py:Logits", "--weights", f"{stem}.pth", "--trust", "--quiet", "--json"]
        assert main([*typed, "--mean", "0.5", "--std", "0.5"]) == 0
        figures[stem] = json.loads(capsys.readouterr().out)
    for stem, printed in figures.items():
        assert json.loads(Path(f"evaluations/Logits-{stem}/validation.json").read_text()) == printed


@pytest.mark.slow
def test_the_normalisation_of_the_training_is_found(mnist: Mnist):
    net = trained(mnist, 0.5, 0.5)
    notes: list = []
    found = evaluate(net, on_event=notes.append)
    expected = in_plain_torch(net, mnist.validation, 0.5, 0.5)
    assert abs(found.correct - (expected.argmax(1) == mnist.validation.labels).sum()) <= 2
    assert any(note.text.endswith("with inputs (x/255 − 0.5) / 0.5 as trained") for note in notes)
