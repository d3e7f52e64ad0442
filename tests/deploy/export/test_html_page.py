"""The format ``html``: one file, proved by its own scripts."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_models import ARCHITECTURES, GRAPHS, LARGE_KERNELS, model_of
from under20k.deploy.draw.encoding import decoded_text
from under20k.deploy.export import html_page, html_run
from under20k.deploy.export.export import export
from under20k.deploy.export.formats import FORMATS, Material
from under20k.deploy.export.proof import ExportError, NotRun
from under20k.deploy.model import load
from under20k.runs.places import Places
from under20k.runs.train import train

REQUIRED = os.environ.get("UNDER20K_BROWSER") == "required"
proved = pytest.mark.skipif(
    not REQUIRED and not list(html_run.runtimes()), reason="neither Chromium, Chrome nor Node.js is here"
)
MATERIAL = Material(None, np.zeros((0, 28, 28), np.uint8))
IMAGES = np.random.default_rng(1).integers(0, 256, (40, 28, 28), np.uint8)


def measured(model, folder, images=IMAGES):
    html_page.export(model, folder, MATERIAL)
    return html_page.measure(model, folder, images)


@pytest.fixture
def exported(tmp_path):
    """The file of a small network, without its proof."""
    return html_page.export(model_of("2p,3p|3v"), tmp_path, MATERIAL)[0]


def embedded_models(path):
    return json.loads(html_run.models_of(path.read_text("utf-8")))["models"]


@proved
@pytest.mark.parametrize("text", [*ARCHITECTURES, LARGE_KERNELS[0], *GRAPHS])
def test_a_browser_or_node_computes_what_the_engine_does(tmp_path, text):
    model = model_of(text, temperature=0.7)
    found = measured(model, tmp_path)
    expected = model.logits(IMAGES)
    assert np.abs(found.logits - expected).max() < 1e-4
    assert np.abs(found.probabilities - model.probabilities(IMAGES)).max() < 1e-5
    assert 0 < found.latency_s < 1
    assert found.runtime.endswith(", 1 thread")


def test_the_page_of_a_pretrained_model_has_its_film(tmp_path):
    done = export(load("minimal"), "html", tmp_path / "out", proof=False)
    assert done.files == (html_page.FILE,)
    assert done.proof.size_bytes == (done.folder / html_page.FILE).stat().st_size
    assert "Open `draw.html` in a browser" in (done.folder / "README.md").read_text("utf-8")
    (found,) = embedded_models(done.folder / html_page.FILE)
    assert found["film"]["epochs"] == list(range(9))


@proved
def test_each_runtime_alone_gives_the_same(tmp_path, monkeypatch):
    """Both are where the tests run; where one is missing, the other has been tested above."""
    found = {}
    for name, others in (("browser", ("NODES",)), ("node", ("BROWSERS", "INSTALLED"))):
        with monkeypatch.context() as patch:
            for other in others:
                patch.setattr(html_run, other, ())
            if not list(html_run.runtimes()):
                pytest.skip(f"there is no {name}")
            patch.setattr(html_run, "NODES", () if name == "browser" else ("node", "nodejs"))
            found[name] = measured(model_of("2p,3p|3v"), tmp_path)
    assert found["browser"].runtime.startswith("Chromium ")
    assert found["node"].runtime.startswith("Node.js ")
    assert np.array_equal(found["browser"].logits, found["node"].logits)


def test_the_film_of_a_run_comes_with_it(tmp_path):
    run = train(
        "minimal", architecture="2p,3p|l", epochs=2, batch_size=2000, places=Places(tmp_path), snapshots=True
    )
    folder = export(load(run.path), "html", tmp_path / "out", proof=False).folder
    (found,) = embedded_models(folder / html_page.FILE)
    assert found["film"]["epochs"] == [0, 1, 2]
    assert found["name"] == run.path.name  # and no folder of this machine


def test_without_a_runtime_the_page_is_written_and_the_proof_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(html_run, "INSTALLED", ())
    done = export(model_of("2p,3p|3v"), "html", tmp_path / "out")
    assert done.proof.passed is None
    assert done.proof.not_run == "neither Chromium, Chrome nor Node.js was found"
    assert (done.folder / html_page.FILE).is_file()


@proved
def test_the_proof_is_of_the_file(exported):
    """What is changed in it changes what is measured: another network, and scripts that fail."""
    text = exported.read_text("utf-8")
    other = model_of("2p,3p|3v")
    weights = {name: value.copy() for name, value in other.weights.items()}
    weights["head.conv.bias"][3] += 1
    folder = exported.parent / "other"
    folder.mkdir()
    html_page.export(replace(other, weights=weights), folder, MATERIAL)
    first = html_page.measure(other, exported.parent, IMAGES).logits
    second = html_page.measure(other, folder, IMAGES).logits
    np.testing.assert_allclose((second - first)[:, 3], 1, atol=1e-4)
    exported.write_text(text.replace('"network":"', '"network":"!'), encoding="utf-8")
    with pytest.raises(ExportError, match="the page's scripts fail: "):
        html_page.measure(other, exported.parent, IMAGES)


def test_a_page_without_its_parts_is_no_page(exported):
    exported.write_text(exported.read_text("utf-8").replace('id="models"', 'id="model"'), encoding="utf-8")
    with pytest.raises(ExportError, match="the page has no models"):
        html_page.measure(model_of("2p,3p|3v"), exported.parent, IMAGES)


def test_the_scripts_are_those_of_the_page_up_to_the_network(exported):
    text = exported.read_text("utf-8")
    scripts = html_run.scripts_of(text)
    whole = decoded_text(html_run._element(text, "scripts"))
    assert scripts in whole
    assert "class Network" in scripts
    assert "document." not in scripts.replace("document.getElementById", "")


def test_a_runtime_that_ends_at_once_is_not_run(exported, monkeypatch):
    monkeypatch.setattr(html_run, "runtimes", lambda: iter([["false"]]))
    with pytest.raises(NotRun, match="false did not answer"):
        html_page.measure(model_of("2p,3p|3v"), exported.parent, IMAGES)


@proved
def test_a_browser_that_does_not_start_leaves_it_to_the_next_runtime(exported, monkeypatch):
    (*_, last) = html_run.runtimes()
    monkeypatch.setattr(html_run, "runtimes", lambda: iter([["/no/such/browser"], ["false"], last]))
    assert html_page.measure(model_of("2p,3p|3v"), exported.parent, IMAGES).logits.shape == (40, 10)
    monkeypatch.setattr(html_run, "runtimes", lambda: iter([["/no/such/browser"], ["false"]]))
    with pytest.raises(NotRun, match=r"/no/such/browser cannot be started: .*; false did not answer"):
        html_page.measure(model_of("2p,3p|3v"), exported.parent, IMAGES)


def test_the_tolerance_is_that_of_floats():
    assert FORMATS["html"].tolerance == FORMATS["torch"].tolerance
