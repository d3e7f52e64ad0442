"""A user's own model with its weights: the normalisation of its training becomes part of the graph."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.submissions import GOOD
from tests.support.trained_student import trained
from under20k.checking.judgement import Accuracy
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.deploy.own_weights import load_trained
from under20k.deploy.weighted import after, change
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.errors import UserError
from under20k.recipe.architecture import Architecture


@pytest.fixture
def student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with net.py, the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(GOOD)
    return tmp_path


@pytest.mark.slow
def test_weights_of_another_normalisation_give_the_students_own_logits(student: Path, mnist: Mnist, capsys):
    net = trained(mnist, 0.5, 0.5)
    torch.save({"epoch": 2, "state": net.state_dict()}, "net.pth")
    found = load_trained("net.py:Net", Path("net.pth"))
    images = mnist.validation.images[:500]
    with torch.no_grad():
        expected = net((torch.from_numpy(images[:, None]).float() / 255 - 0.5) / 0.5).numpy()
    logits = found.model.logits(images)
    shift = expected - logits  # the student's are log-probabilities: a constant apart in each row
    assert np.abs(shift - shift[:, :1]).max() < 1e-4 * np.ptp(logits)
    (note,) = [note for note in found.notes if "validation images right" in note]
    assert note.endswith("with inputs (x/255 − 0.5) / 0.5 as trained")
    arguments = ["net.py:Net", "--weights", "net.pth", "--trust"]
    assert main(["export", *arguments, "--to", "onnx"]) == 0
    proof = json.loads(Path("exports/Net-onnx/proof.json").read_text())
    assert (proof["passed"], proof["changed"]) == (True, 0)
    assert main(["draw", *arguments, "--output", "page.html"]) == 0
    assert "Net" in Path("page.html").read_text(encoding="utf-8")
    capsys.readouterr()


def accuracy(mean: float, std: float, inputs: str | None = None) -> Accuracy:
    return Accuracy("validation", 10_000, "of the test", mean, std, "found", inputs=inputs)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), (0.0, 1.0), (1.0, -1.0), (MEAN, STANDARD_DEVIATION)])
def test_our_input_becomes_the_one_of_the_training(mean, std):
    factor, offset = change(accuracy(mean, std))
    pixels = np.linspace(0, 1, 7)
    ours = (pixels - MEAN) / STANDARD_DEVIATION
    assert factor * ours + offset == pytest.approx((pixels - mean) / std)
    graph = Architecture.parse("4p|l").graph
    changed = after(graph, factor, offset)
    assert len(changed.nodes) == len(graph.nodes) + 1
    assert changed.tensors() == graph.tensors()


def test_inputs_of_another_kind_are_refused():
    with pytest.raises(UserError, match="trained with other inputs"):
        change(accuracy(0.0, 1.0, "x > 0 as 1, else 0"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["export", "net.py:Net", "--to", "c"],
            "is a model without weights; name those that you trained",
        ),
        (["export", "net.py:Net", "--to", "c", "--weights", "w.pth"], "add --trust if you trust it"),
        (["export", "net.py:Net", "--to", "c", "--weights", "w.pth", "--trust"], "w.pth is not a file"),
        (["export", "minimal", "--to", "c", "--weights", "w.pth"], "--weights is for a model of your own"),
        (["predict", "x.png", "--arg", "p=1"], "--arg is for a model of your own"),
        (["predict", "x.png", "--model", "net.py:Net"], "is a model without weights"),
        (["draw", "net.py:Net", "b.py:Net"], "b.py:Net is a second one of your own"),
        (["evaluate", "net.py:Net"], "is a model without weights; name those that you trained"),
        (["evaluate", "net.py:Net", "--weights", "w.pth"], "add --trust if you trust it"),
        (["evaluate", "net.py:Net", "--weights", "w.pth", "--trust"], "w.pth is not a file"),
        (["evaluate", "runs/minimal-0", "--mean", "0"], "--mean is for a model of your own"),
        (
            ["evaluate", "net.py:Net", "--weights", "w.pth", "--trust", "--std", "1"],
            "mean and std are only valid together",
        ),
        (
            ["export", "net.py:Net", "--to", "c", "--weights", "net.py", "--trust"],
            "net.py: the weights file has an unknown format",
        ),
    ],
)
def test_bad_input_is_one_line(student: Path, arguments, said, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err.splitlines()[-1]
    assert not Path("exports").exists()
    assert not Path("evaluations").exists()
