"""A hub folder holds all that the Hub's ``upload_folder`` is given, and is a model to under20k."""

import inspect
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import onnxruntime
import pytest
from PIL import Image

import under20k
from tests.support import ROOT
from under20k.cli.main import main
from under20k.deploy.export import hub_folder, onnx_fp32
from under20k.deploy.export.export import export
from under20k.deploy.export.proof import ExportError
from under20k.deploy.hub_files import WEIGHTS
from under20k.deploy.model import load
from under20k.files import read_json

FILES = {
    *("README.md", "proof.json", "config.json", "recipe.json"),
    *("model.safetensors", "model.py", "model.onnx", "model-uint8.onnx"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """An export of a pretrained model."""
    return export(load("minimal"), "hub-folder", tmp_path_factory.mktemp("exports") / "hub").folder


def test_the_folder_is_what_the_hub_takes(exported):
    assert {path.name for path in exported.iterdir()} == FILES
    proof = read_json(exported / "proof.json")
    assert proof["passed"]
    assert proof["runtime"].startswith("PyTorch")
    assert proof["extra"]["also run"].startswith("model.onnx in onnxruntime")
    assert proof["size_bytes"] == sum(
        path.stat().st_size for path in exported.iterdir() if path.name not in ("README.md", "proof.json")
    )


def test_it_is_loaded_as_the_same_model(exported, mnist):
    model, original = under20k.load(exported), load("minimal")
    images = mnist.validation.images[:200]
    assert np.array_equal(model.logits(images), original.logits(images))
    for name in ("name", "recipe", "temperature", "threshold", "origin"):
        assert getattr(model, name) == getattr(original, name)
    session = onnxruntime.InferenceSession(exported / "model-uint8.onnx")
    (logits,) = session.run(["logits"], {"image": images[:, None]})
    assert (logits.argmax(1) == model.predict(images)).all()


def test_a_loaded_one_is_exported_to_the_same_files(exported, tmp_path):
    again = export(under20k.load(exported), "hub-folder", tmp_path / "again", proof=False).folder
    for name in ("config.json", "recipe.json", "model.safetensors", "model.py"):
        assert (again / name).read_bytes() == (exported / name).read_bytes()


def test_predict_takes_it(exported, tmp_path, mnist, capsys):
    Image.fromarray(255 - mnist.validation.images[0]).resize((112, 112)).save(tmp_path / "digit.png")
    assert main(["predict", str(tmp_path / "digit.png"), "--model", str(exported)]) == 0
    assert str(mnist.validation.labels[0]) in capsys.readouterr().out


def test_its_recipe_is_one(exported, capsys):
    assert main(["check", str(exported / "recipe.json"), "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)


def test_a_run_is_loaded_with_its_seed_and_accuracy(small, tmp_path):
    folder = export(load("runs/small"), "hub-folder", tmp_path / "hub", proof=False).folder
    origin = under20k.load(folder).origin
    run = under20k.Run.open(small)
    assert (origin.kind, origin.seed, origin.license) == ("run", run.seed, None)
    assert origin.validation_accuracy == run.metrics()[-1].validation_accuracy
    assert "license" not in read_json(folder / "proof.json")
    assert "license:" not in (folder / "README.md").read_text()


def test_a_folder_that_loads_differently_fails(exported, tmp_path, monkeypatch, mnist):
    folder = shutil.copytree(exported, tmp_path / "hub")
    other = export(load("minimal-plus"), "hub-folder", tmp_path / "other", proof=False).folder
    (other / WEIGHTS).replace(folder / WEIGHTS)
    with pytest.raises(ExportError, match="the model loaded from the folder gives other logits"):
        hub_folder.measure(load("minimal"), folder, mnist.validation.images[:20])


def test_the_page_uploads_with_arguments_that_the_client_takes():
    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    (written,) = re.findall(r"^huggingface_hub\.upload_folder\((.*)\)$", page, re.M)
    arguments = dict(re.findall(r'(\w+)="([^"]+)"', written))
    assert arguments.keys() == {"repo_id", "folder_path"}
    inspect.signature(huggingface_hub.upload_folder).bind(**arguments)


def test_onnx_is_judged_too(exported, monkeypatch, mnist):
    real = onnx_fp32.measure

    def worse(*arguments):
        found = real(*arguments)
        return replace(found, logits=found.logits + np.float32(1))

    monkeypatch.setattr(onnx_fp32, "measure", worse)
    with pytest.raises(ExportError, match=r"model.onnx fails: a logit differs by"):
        hub_folder.measure(load("minimal"), exported, mnist.validation.images[:20])


def test_without_torch_the_figures_are_those_of_onnx(exported, monkeypatch, mnist):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = hub_folder.measure(load("minimal"), exported, mnist.validation.images[:20])
    assert found.runtime.startswith("onnxruntime")
    assert found.extra["not run"].startswith("model.py: PyTorch cannot be loaded")
