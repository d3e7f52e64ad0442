"""A model of the user's that ends in a softmax: what ships calls its outputs probabilities, not logits."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.support.c_programs import needs, scores
from tests.support.own_graphs import (
    GRAPHS,
    ending_in_softmax,
    expected_logits,
    expected_outputs,
    own_model,
    weights_of,
)
from tests.support.run_folders import ENVIRONMENT, metrics
from under20k.data import Mnist
from under20k.deploy.calibration import softmax
from under20k.deploy.export import c_float, c_int8, html_page, html_run, onnx_fp32, onnx_int8
from under20k.deploy.export.export import export
from under20k.deploy.export.folded import folded
from under20k.deploy.export.formats import Material
from under20k.deploy.export.proof import Measured, prove
from under20k.deploy.export.tolerance import FP32, INT8
from under20k.deploy.export.torch_module import load_net, one_thread
from under20k.deploy.model import Model, load
from under20k.recipe.graph.graph import Graph
from under20k.runs.evaluate import evaluate
from under20k.runs.run import Run

COUNT = 20
GRAPH = {"any graph": GRAPHS["uneven pools"], "chain": ending_in_softmax(GRAPHS["chain"])}
both = pytest.mark.parametrize("name", GRAPH)


def model_named(name: str, temperature: float = 1.0) -> Model:
    return own_model(GRAPH[name], temperature)


def calibrated(model: Model, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The module's own probabilities by PyTorch, to the power of 1 / temperature."""
    powers = expected_outputs(model, images) ** (1 / model.temperature)
    return powers / powers.sum(1, keepdims=True)


def close(found: NDArray[np.floating], expected: NDArray[np.float64]) -> bool:
    assert found.shape == expected.shape
    return np.abs(found - expected).max() < 5e-6


@both
def test_the_engine_gives_logits_and_the_models_own_probabilities(name: str, mnist: Mnist) -> None:
    model, images = model_named(name), mnist.validation.images[:COUNT]
    own = expected_outputs(model, images)
    assert np.allclose(own.sum(1), 1)
    assert own.max() > 0.2  # a second softmax would leave at most e / (e + 9)
    assert close(model.probabilities(images), own)
    assert np.abs(model.logits(images) - expected_logits(model, images)).max() < 1e-5
    warm = model_named(name, 1.7)
    assert close(warm.probabilities(images), calibrated(warm, images))
    assert not close(warm.probabilities(images), own)


@needs("gcc")
@both
def test_c(name: str, mnist: Mnist, tmp_path: Path) -> None:
    model, images = model_named(name, 1.3), mnist.validation.images[:COUNT]
    c_float.export(model, tmp_path, Material(None, images[:0]))
    found = scores(tmp_path, images)
    assert np.abs(found[:, :10] - expected_logits(model, images)).max() < 1e-5
    assert close(found[:, 10:20], calibrated(model, images))


@needs("gcc")
def test_c_in_integers(mnist: Mnist, tmp_path: Path) -> None:
    """A chain with a softmax is a chain."""
    model, images = model_named("chain"), mnist.validation.images[:COUNT]
    c_int8.export(model, tmp_path, Material(None, mnist.train.images[:500]))
    found = scores(tmp_path, images)
    assert np.abs(found[:, 10:20] - expected_outputs(model, images)).max() < 0.01
    plain = own_model(GRAPHS["chain"])
    assert folded(GRAPH["chain"], weights_of(GRAPH["chain"])) is not None
    assert np.array_equal(plain.logits(images), model.logits(images))


@both
def test_onnx(name: str, mnist: Mnist, tmp_path: Path) -> None:
    model, images = model_named(name, 0.8), mnist.validation.images[:COUNT]
    for path in onnx_fp32.export(model, tmp_path, Material(None, images[:0])):
        x = images[:, None].astype(np.uint8 if "uint8" in path.name else np.float32)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        logits, probabilities = session.run(["logits", "probabilities"], {"image": x})
        assert np.abs(logits - expected_logits(model, images)).max() < 1e-5
        assert close(probabilities, calibrated(model, images))


@both
def test_onnx_in_integers(name: str, mnist: Mnist, tmp_path: Path) -> None:
    model, images = model_named(name), mnist.validation.images[:COUNT]
    path, _ = onnx_int8.export(model, tmp_path, Material(None, mnist.train.images))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": images[:, None].astype(np.float32)})
    assert np.abs(found - expected_outputs(model, images)).max() < 0.05


@both
def test_the_torch_module(name: str, mnist: Mnist, tmp_path: Path) -> None:
    """It returns log-probabilities, as every exported module does."""
    import torch

    model, images = model_named(name), mnist.validation.images[:COUNT]
    folder = export(model, "torch", tmp_path / "out", proof=False).folder
    assert "F.softmax" not in (folder / "model.py").read_text("utf-8")
    with one_thread():
        x = (torch.from_numpy(images[:, None]).double() / 255 - 0.1307) / 0.3081
        found = load_net(folder).double()(x).exp().numpy()
    assert np.abs(found - expected_outputs(model, images)).max() < 1e-12


@pytest.mark.skipif(not list(html_run.runtimes()), reason="neither Chromium, Chrome nor Node.js is here")
@both
def test_the_page(name: str, mnist: Mnist, tmp_path: Path) -> None:
    model, images = model_named(name, 1.2), mnist.validation.images[:COUNT]
    html_page.export(model, tmp_path, Material(None, images[:0]))
    found = html_page.measure(model, tmp_path, images)
    assert np.abs(found.logits - expected_logits(model, images)).max() < 1e-4
    assert np.abs(found.probabilities - calibrated(model, images)).max() < 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "c", "torch", "html", "hub-folder"])
def test_every_proof_passes(to: str, tmp_path: Path) -> None:
    proof = export(model_named("any graph", 1.3), to, tmp_path / "out").proof
    assert proof.not_run or (proof.passed and proof.probability_difference < 1e-5)


def test_a_hub_folder_is_the_same_model(mnist: Mnist, tmp_path: Path) -> None:
    model, images = model_named("any graph", 1.3), mnist.validation.images[:COUNT]
    again = load(export(model, "hub-folder", tmp_path / "out", proof=False).folder)
    assert again.recipe.own is not None
    assert again.recipe.own.output == "softmax"
    assert np.array_equal(again.probabilities(images), model.probabilities(images))
    assert close(again.probabilities(images), calibrated(model, images))
    with one_thread():
        import torch

        x = (torch.from_numpy(images[:, None]) / 255 - 0.1307) / 0.3081
        # What the module itself returns is not calibrated.
        assert close(again.torch()(x).numpy(), expected_outputs(model, images))


@pytest.mark.parametrize("tolerance", [FP32, INT8])
def test_a_second_softmax_fails_the_proof(mnist: Mnist, tolerance) -> None:
    """As an export that takes the model's probabilities for logits has it."""
    model = model_named("any graph")
    split = mnist.validation
    own = model.probabilities(split.images).astype(np.float32)
    twice = np.exp(own) / np.exp(own).sum(1, keepdims=True)
    for logits in (own, None):
        proof = prove("x", model, Measured("", 1e-6, logits, twice), split, size_bytes=1, tolerance=tolerance)
        assert any(fault.startswith("the probabilities differ by") for fault in proof.faults)


def test_an_evaluation_keeps_logits_of_the_models_own_probabilities(mnist: Mnist, tmp_path: Path) -> None:
    """Of which the pictures of mistakes say how sure the network was."""
    model = model_named("any graph")
    run = Run.create(tmp_path / "run", model.recipe, 0, ENVIRONMENT)
    epochs = metrics(model.recipe.epochs)
    run.save_epoch(model.weights, epochs)
    run.save_model(model.weights, epochs)
    found = evaluate(run)
    images, labels = mnist.validation.images, mnist.validation.labels
    own = expected_outputs(model, images)
    assert close(softmax(found.logits), own)
    assert found.correct == (own.argmax(1) == labels).sum()
    twice = softmax(own)[np.arange(len(labels)), labels]  # the loss of the training
    assert found.loss == pytest.approx(-np.log(twice).mean(), rel=1e-5)


def test_only_a_softmax_is_left_out() -> None:
    chain = GRAPHS["chain"]
    assert GRAPH["chain"].up_to_logits() == chain == chain.up_to_logits()
    ended: Graph = GRAPHS["everything"]
    assert ended.up_to_logits() is ended  # a log-softmax stays
