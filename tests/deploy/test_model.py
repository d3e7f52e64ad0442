"""Models against PyTorch; and what ``load`` finds and refuses."""

import multiprocessing
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import under20k
from tests.support import ROOT
from tests.support.graphs import own_model, own_recipe
from under20k.deploy import card as cards
from under20k.deploy.calibration import softmax
from under20k.deploy.model import Model, as_model, load
from under20k.engine import isa
from under20k.errors import UserError
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import Graph
from under20k.recipe.named import RECIPES
from under20k.recipe.weights import initial_weights
from under20k.runs.places import Places
from under20k.runs.train import train

NORMALISED = (0.1307, 0.3081)


def in_torch(model: Model, images: np.ndarray) -> np.ndarray:
    """Log-probabilities of a model's own module."""
    pixels = (torch.tensor(images).unsqueeze(1) / 255 - NORMALISED[0]) / NORMALISED[1]
    with torch.inference_mode():
        return model.torch()(pixels).numpy()


@pytest.mark.parametrize("name", cards.names())
def test_a_pretrained_model_is_its_torch_module(mnist, name):
    model, images = load(name), mnist.validation.images[:300]
    assert model.recipe == model.card.recipe
    log_probabilities = in_torch(model, images)
    assert np.allclose(np.log(softmax(model.logits(images))), log_probabilities, atol=1e-3)
    assert (model.predict(images) == log_probabilities.argmax(1)).mean() > 0.99
    assert (model.predict(images) == mnist.validation.labels[:300]).mean() > 0.98
    assert not model.torch().training


def test_a_model_that_ends_in_softmax_gives_its_own_probabilities():
    graph = Graph(
        (
            op.Reshape("flat", ("image",), (784,)),
            op.Linear("fc", ("flat",), 10, "fc.weight", "fc.bias"),
            op.Softmax("softmax", ("fc",)),
        )
    )
    random = np.random.default_rng(0)
    weights = {"fc.weight": random.normal(0, 0.2, (10, 784)), "fc.bias": random.normal(size=10)}
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    model = Model("own", own_recipe(own_model(graph)), weights)
    images = random.integers(0, 256, (9, 28, 28), np.uint8)
    assert np.allclose(model.probabilities(images), in_torch(model, images), atol=1e-5)
    assert model.probabilities(images).max() > 0.5


def test_the_temperature_divides_the_logits():
    recipe = RECIPES["minimal"]
    model = Model("own", recipe, initial_weights(recipe.architecture, 1), temperature=0.5)
    images = np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8)
    expected = torch.softmax(torch.tensor(model.logits(images)).double() / 0.5, 1).numpy()
    assert np.allclose(model.probabilities(images), expected)
    assert (model.probabilities(images).argmax(1) == model.predict(images)).all()


def test_a_model_fits_its_recipe():
    with pytest.raises(UserError):
        Model("own", RECIPES["minimal"], initial_weights(RECIPES["regularized"].architecture, 1))


def test_models_in_one_line():
    assert repr(load("minimal")) == "Model(minimal: 14,116 parameters)"
    assert repr(load("minimal").card).startswith("Card(minimal: 14,116 parameters, seed 0, validation 99.")


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_each_engine(mnist, engine):
    if engine == "native" and isa.unavailable():
        pytest.skip("no native engine")
    model = load("minimal", compute=under20k.Compute(engine=engine, device="cpu", threads=1))
    images = mnist.validation.images[:50]
    assert np.allclose(model.logits(images), load("minimal").logits(images), atol=1e-3)


@pytest.mark.skipif(isa.unavailable() is not None, reason="no native engine")
def test_the_native_engine_answers_without_torch():
    code = (
        "import sys, numpy, under20k\n"
        "print(*under20k.load('minimal').predict(numpy.zeros((2, 28, 28), 'uint8')))\n"
        "print({'torch', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"(\d) \1\nset\(\)\n", done.stdout)


def test_threads_share_a_model(mnist):
    model, images = load("minimal"), mnist.validation.images[:500]
    expected, found = model.logits(images), []
    threads = [threading.Thread(target=lambda: found.append(model.logits(images))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all((logits == expected).all() for logits in found)


def test_a_used_model_can_be_sent_to_another_process(mnist):
    model, images = load("minimal"), mnist.validation.images[:20]
    expected = model.predict(images)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert (copy.predict(images) == expected).all()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert (pool.apply(model.predict, (images,)) == expected).all()


def test_load_finds_runs_and_records(tmp_path, monkeypatch, mnist):
    monkeypatch.chdir(tmp_path)
    run = train("minimal", architecture="4p,6p|l", epochs=1, places=Places(tmp_path / "runs"))
    model = load(run.path)
    assert (model.recipe, model.card, model.name) == (run.recipe, None, str(run.path))
    assert all((model.weights[name] == value).all() for name, value in run.weights().items())
    accuracy = (model.predict(mnist.validation.images) == mnist.validation.labels).mean()
    assert accuracy == pytest.approx(run.metrics()[-1].validation_accuracy, abs=0.0002)
    kept = load(ROOT / "records" / "small" / "2026-11-27-shared-weights")
    assert kept.name == "shared-weights"
    pretrained = load("shared-weights")
    assert all((kept.weights[name] == value).all() for name, value in pretrained.weights.items())
    with pytest.raises(
        UserError, match=r"there is no model 'rums/x'; pretrained: .*four-epochs.* runs/minimal"
    ):
        load("rums/x")


def test_a_model_is_its_own():
    model = load("minimal")
    assert as_model(model) is model
    assert as_model("minimal").name == "minimal"
    assert as_model(None).name == cards.default_name() in ("robust", "regularized-plus")


def test_what_is_no_model_is_refused(tmp_path):
    for name in ("train-images-idx3-ubyte.gz", "raw/t10k-labels-idx1-ubyte"):
        folder = tmp_path / Path(name).name
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
        with pytest.raises(UserError, match=r"holds MNIST's images, not a model.*under20k\.load_mnist\(\)"):
            load(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    runs = tmp_path / "runs"  # as a name it is close to "robust"
    runs.mkdir()
    for given, words in (
        (None, r"name a model to load: .*regularized-plus.*load_mnist\(\)"),
        ("reguralized-plus", "no model 'reguralized-plus'; did you mean 'regularized-plus'"),
        (empty, "empty is not a run folder"),
        (runs, "runs is not a run folder; pretrained: "),
        (3, "the name of a pretrained model"),
    ):
        with pytest.raises(UserError, match=words):
            load(given)


def test_mnist_has_functions_of_its_own(mnist):
    assert (under20k.load_mnist().validation.labels == mnist.validation.labels).all()
    assert len(under20k.load_mnist_test()) == 10_000
