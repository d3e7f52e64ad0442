"""``under20k evaluate`` against a recount in plain PyTorch."""

import json
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from under20k.cli.main import main
from under20k.data import Mnist, load_test
from under20k.engine.base import Compute
from under20k.engine.module import build
from under20k.engine.select import choose
from under20k.runs.run import Run
from under20k.runs.train import train

EVALUATE = ["evaluate", "runs/small", "--threads", "1"]


@pytest.fixture(scope="session")
def recount(finished, mnist: Mnist):
    """True and predicted class of each image of a split, and the mean loss, in float64."""
    run = Run.open(finished.path)
    network = build(run.recipe.architecture)
    network.load_state_dict(load_file(run.path / "model.safetensors"), strict=False)

    def count(split: str) -> tuple[np.ndarray, np.ndarray, float]:
        images = mnist.validation if split == "validation" else load_test()
        pixels = torch.tensor(images.images, dtype=torch.float64)[:, None]
        with torch.inference_mode():
            scores = network.double()((pixels / 255 - 0.1307) / 0.3081)
        labels = torch.tensor(images.labels).long()
        loss = float(torch.nn.functional.nll_loss(scores, labels))
        return labels.numpy(), scores.argmax(1).numpy(), loss

    return count


def assert_counted(figures: dict, labels: np.ndarray, predicted: np.ndarray, loss: float) -> None:
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, predicted), 1)
    assert figures["confusion"] == confusion.tolist()
    assert (figures["images"], figures["correct"]) == (10_000, int((labels == predicted).sum()))
    assert figures["accuracy"] == figures["correct"] / 10_000
    assert figures["loss"] == pytest.approx(loss, rel=1e-5)
    for digit in range(10):
        hits = ((labels == digit) & (predicted == digit)).sum()
        assert figures["recall"][digit] == pytest.approx(hits / (labels == digit).sum())
        assert figures["precision"][digit] == pytest.approx(hits / max((predicted == digit).sum(), 1))


def assert_pictures(folder, split: str) -> None:
    for name in ("confusion", "misclassified"):
        with Image.open(folder / f"{split}-{name}.png") as image:
            assert image.format == "PNG"
            assert min(image.size) > 300
            assert len(set(image.convert("L").resize((50, 50)).tobytes())) > 10  # it shows something


def test_validation(small, recount, capsys):
    before = set(os.listdir(small))
    assert main([*EVALUATE, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    figures = json.loads(out)
    assert_counted(figures, *recount("validation"))
    assert figures["split"] == "validation"
    assert figures["accuracy"] == Run.open(small).metrics()[-1].validation_accuracy
    assert json.loads((small / "validation.json").read_text()) == figures
    assert_pictures(small, "validation")
    new = {"validation.json", "validation-confusion.png", "validation-misclassified.png"}
    assert set(os.listdir(small)) == before | new


def test_the_text_shows_the_same(small, recount, capsys):
    assert main([*EVALUATE, "--output", "elsewhere/figures"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    labels, predicted, loss = recount("validation")
    correct = int((labels == predicted).sum())
    accuracy = f"{correct / 10_000:.2%} validation accuracy (target 99.40%)"
    sign = "✓" if correct >= 9_940 else "✗"
    assert out.startswith(f"{sign} {accuracy}: {correct:,} of 10,000 images correct, loss {loss:.4f}\n")
    for digit in range(10):
        shown = re.search(rf"^{digit} +(\S+) +(\S+) +([\d,]+) +([\d,]+)$", out, re.M)
        assert shown is not None
        counts = [int(value.replace(",", "")) for value in shown.groups()[2:]]
        assert counts == [(labels == digit).sum(), (predicted == digit).sum()]
        assert shown[1] == f"{((labels == digit) & (predicted == digit)).sum() / counts[0]:.2%}"
    written = sorted(os.listdir("elsewhere/figures"))
    assert written == ["validation-confusion.png", "validation-misclassified.png", "validation.json"]
    for name in written:
        assert f"elsewhere/figures/{name}" in out
    assert not (small / "validation.json").exists()


def test_every_reading_of_the_test_set_is_written_into_the_run(small, recount, capsys):
    assert main([*EVALUATE, "--test", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert_counted(figures, *recount("test"))
    (reading,) = Run.open(small).test_readings()
    assert {name: reading[name] for name in figures} == figures
    assert reading["engine"] == choose().engine
    report = (small / "report.md").read_text()
    assert "The test set was read once." in report
    assert f"{figures['accuracy']:.2%}" in report
    assert_pictures(small, "test")

    first = (small / "test_readings.jsonl").read_text()
    assert main([*EVALUATE, "--test"]) == 0
    assert (small / "test_readings.jsonl").read_text().startswith(first)
    assert len(Run.open(small).test_readings()) == 2
    assert "The test set was read 2 times." in (small / "report.md").read_text()


def test_overwriting_removes_the_previous_models_figures(small, monkeypatch):
    for options in ([], ["--test"]):
        assert main([*EVALUATE, *options]) == 0
    monkeypatch.setattr("under20k.runs.train.train_epochs", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(Run.open(small).recipe, 0, name="small", existing="replace", compute=Compute(threads=1))
    assert set(os.listdir(small)) == {"recipe.json", "environment.json", ".lock"}


def interrupt(*_, **__) -> None:
    raise KeyboardInterrupt
