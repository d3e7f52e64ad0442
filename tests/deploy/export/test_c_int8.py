"""The C in integers is the simulator, bit for bit."""

import json

import numpy as np
import pytest

from tests.support.c_programs import SANITIZED, scores
from tests.support.small_models import ARCHITECTURES, LARGE_KERNELS, model_of
from under20k.deploy.card import names
from under20k.deploy.export.c_int8 import network, write
from under20k.deploy.export.export import export
from under20k.deploy.export.int8 import QuantizedNetwork, logits
from under20k.deploy.model import load

rng = np.random.default_rng(2)
# Whatever a caller may pass.
EXTREMES = np.concatenate(
    [
        np.zeros((1, 28, 28), np.uint8),
        np.full((1, 28, 28), 255, np.uint8),
        rng.integers(0, 256, (10, 28, 28), np.uint8),
        255 * rng.integers(0, 2, (10, 28, 28), np.uint8),
    ]
)


def expected(simulated: QuantizedNetwork, images: np.ndarray) -> np.ndarray:
    return logits(simulated, images).astype(np.float32) / np.float32(2**simulated.logit_bits)


@pytest.mark.parametrize("text", [*ARCHITECTURES, *LARGE_KERNELS, "4k1|1", "4vp,6n|3", "4|l", "5vp,4vp|3v"])
def test_every_logit_is_the_simulators(text, mnist, tmp_path):
    model = model_of(text)
    simulated = network(model, mnist.train.images[:50])
    write(model, simulated, tmp_path, None)
    images = np.concatenate([EXTREMES, mnist.validation.images[:30]])
    found = scores(tmp_path, images, *SANITIZED)
    assert np.array_equal(found[:, :10], expected(simulated, images))
    assert np.array_equal(found[:, 20], found[:, :10].argmax(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_logit_of_10000_images_is_the_simulators(name, mnist, tmp_path):
    model = load(name)
    simulated = network(model, mnist.train.images)
    write(model, simulated, tmp_path, None)
    found = scores(tmp_path, mnist.validation.images)
    assert len(found) == 10000
    assert np.array_equal(found[:, :10], expected(simulated, mnist.validation.images))


@pytest.mark.slow
def test_a_trained_network_passes_its_proof(tmp_path):
    done = export(load("minimal"), "c-int8", tmp_path / "out")
    assert done.proof.passed
    assert done.proof.engine_accuracy - done.proof.accuracy <= 0.0005
    proof = json.loads((done.folder / "proof.json").read_text())
    assert proof["extra"]["work_buffer_bytes"] == 6530  # the first map and hardly more


def test_the_same_model_gives_the_same_bytes(mnist, tmp_path):
    model = model_of("4vp,5vp|3v")
    texts = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(model, network(model, mnist.train.images[:20]), tmp_path / name, 0.9)
        texts.add((tmp_path / name / "under20k.c").read_bytes())
    assert len(texts) == 1
