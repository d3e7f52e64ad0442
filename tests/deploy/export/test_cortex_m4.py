"""The C runs on a Cortex-M4, emulated, within its budget."""

import shutil

import numpy as np
import pytest

from tests.support.c_programs import scores
from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export import c_float, c_int8, cortex_m4
from under20k.deploy.export.formats import Material
from under20k.deploy.export.proof import ExportError

emulated = pytest.mark.skipif(bool(cortex_m4.missing()), reason="`make cross` installs the programs")


@emulated
def test_minimal_in_int8_fits_24_kilobytes_and_computes_the_same_bits(mnist, tmp_path):
    model, images = model_of(ARCHITECTURES[0]), mnist.validation.images[:10]
    c_int8.export(model, tmp_path, Material(None, mnist.train.images[:50]))
    expected = scores(tmp_path, images)
    found = cortex_m4.measure(tmp_path, images)
    assert np.array_equal(found.logits, expected[:, :10])
    assert np.array_equal(found.digits, expected[:, 20])
    assert found.flash_bytes < 24_000
    assert found.ram_bytes < 24_000
    macs = model.recipe.architecture.macs
    assert 4 * macs < found.instructions < 8 * macs


@emulated
def test_floats_are_almost_the_same(mnist, tmp_path):
    model, images = model_of("4vp,6vp|3v"), mnist.validation.images[:5]
    c_float.export(model, tmp_path, Material(None, images[:0]))
    expected = scores(tmp_path, images)
    found = cortex_m4.extra(tmp_path, images, expected[:, :10], c_float.CORTEX_M4_DIFFERENCE)
    assert found["Cortex-M4"]["digits_as_on_this_machine"] == 5


@emulated
def test_other_logits_fail(mnist, tmp_path):
    model, images = model_of("3vp|1"), mnist.validation.images[:3]
    c_float.export(model, tmp_path, Material(None, images[:0]))
    with pytest.raises(ExportError, match=r"on a Cortex-M4, .* a logit differs by"):
        cortex_m4.extra(tmp_path, images, scores(tmp_path, images)[:, :10] + 1, 1e-6)


def test_missing_programs_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None if name.startswith("qemu") else f"/bin/{name}")
    nothing = np.zeros((0, 28, 28), np.uint8)
    found = cortex_m4.extra(tmp_path, nothing, np.zeros((0, 10), np.float32), 0)
    assert found == {"Cortex-M4": "not run: there is no qemu-system-arm"}


@emulated
def test_a_program_that_fails_leaves_the_proof_without_it(monkeypatch, tmp_path):
    monkeypatch.setattr(cortex_m4, "FLAGS", ("--no-such-option",))
    found = cortex_m4.extra(tmp_path, np.zeros((1, 28, 28), np.uint8), np.zeros((1, 10), np.float32), 0)
    assert found["Cortex-M4"].startswith("not run: arm-none-eabi-gcc failed: ")
