"""The C in float computes the engine's logits and their softmax."""

import numpy as np
import pytest

from tests.support.c_programs import SANITIZED, scores
from tests.support.small_models import ARCHITECTURES, GRAPHS, LARGE_KERNELS, model_of
from under20k.deploy.export import c_float
from under20k.deploy.export.export import export
from under20k.deploy.export.formats import Material
from under20k.deploy.export.proof import softmax
from under20k.deploy.model import load

NOTHING = Material(None, np.zeros((0, 28, 28), np.uint8))


@pytest.mark.parametrize("options", [SANITIZED, ["-O3"]], ids=["sanitized", "fast"])
@pytest.mark.parametrize(
    "text", [*ARCHITECTURES, *LARGE_KERNELS, *GRAPHS, "4k1|1", "4vp,6n|3", "4|l", "5vp,4vp|3v"]
)
def test_the_logits_are_the_engines(text, options, mnist, tmp_path):
    model = model_of(text, temperature=1.3)
    c_float.export(model, tmp_path, NOTHING)
    images = mnist.validation.images[:30]
    found = scores(tmp_path, images, *options)
    expected = model.logits(images)
    assert np.abs(found[:, :10] - expected).max() < 1e-5 * np.ptp(expected)  # sums of up to 784 positions
    assert np.array_equal(found[:, 20], expected.argmax(1))
    assert np.abs(found[:, 10:20] - softmax(found[:, :10], 1.3)).max() < 1e-6


@pytest.mark.parametrize("factor", [0, 1e-3, 10, 300])
def test_the_softmax_holds_for_all_logits(factor, mnist, tmp_path):
    model = model_of("3vp|1")
    model.weights["head.conv.weight"] *= np.float32(factor)
    model.weights["head.conv.bias"] *= np.float32(factor)
    c_float.export(model, tmp_path, NOTHING)
    found = scores(tmp_path, mnist.validation.images[:100], *SANITIZED)
    assert np.abs(found[:, 10:20] - softmax(found[:, :10], 1)).max() < 1e-6
    assert np.abs(found[:, 10:20].sum(1) - 1).max() < 1e-6


@pytest.mark.slow
def test_a_trained_network_passes_its_proof(tmp_path):
    done = export(load("minimal"), "c", tmp_path / "out")
    assert done.proof.passed
    assert done.proof.changed == done.proof.ties
    assert done.proof.extra["work_buffer_bytes"] == 4 * 6496
