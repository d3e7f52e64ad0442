"""The format ``torch`` as its user meets it: loaded as documented, judged by ``under20k check``."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import ROOT
from tests.support.small_models import ARCHITECTURES, model_of
from under20k.cli.main import main
from under20k.deploy.export import torch_module
from under20k.deploy.export.export import export
from under20k.deploy.export.formats import FORMATS, Material
from under20k.deploy.export.proof import ExportError
from under20k.deploy.model import load

MATERIAL = Material(None, np.zeros((0, 28, 28), np.uint8))
SNIPPET = re.findall(r"^```python\n(.*?)^```$", FORMATS["torch"].use, re.M | re.S)[0]


def test_the_page_has_the_card_s_lines():
    assert f"```python\n{SNIPPET}```" in (ROOT / "docs" / "export.md").read_text("utf-8")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """An export of a pretrained model."""
    return export(load("regularized-plus"), "torch", tmp_path_factory.mktemp("exports") / "torch").folder


def test_the_card_s_lines_load_it_without_under20k(exported, mnist):
    images = mnist.validation.images[:50]
    np.save(exported.parent / "images.npy", images)
    program = (
        "import sys; sys.modules['under20k'] = None\n"
        "import numpy, torch\n"
        f"images = torch.tensor(numpy.load({str(exported.parent / 'images.npy')!r})[:, None]).float()\n"
        f"{SNIPPET}print(digits.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=exported, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(load("regularized-plus").predict(images).tolist())


def test_check_passes_where_the_assignment_is_met(exported, capsys):
    assert main(["check", f"{exported / 'model.py'}:Net", "--trust"]) == 0
    assert "meets every requirement" in capsys.readouterr().out


def test_check_misses_dropout_alone_where_the_recipe_has_none(tmp_path, capsys):
    export(load("minimal-plus"), "torch", tmp_path / "out", proof=False)
    assert main(["check", f"{tmp_path / 'out' / 'model.py'}:Net", "--trust"]) == 1
    assert "misses 1 of 9 requirements: dropout" in capsys.readouterr().out


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_its_figures_are_what_the_module_gives(text, tmp_path):
    model = model_of(text, temperature=0.7)
    torch_module.export(model, tmp_path, MATERIAL)
    images = np.random.default_rng(5).integers(0, 256, (9, 28, 28), np.uint8)
    threads = torch.get_num_threads()
    found = torch_module.measure(model, tmp_path, images)
    assert torch.get_num_threads() == threads
    assert np.abs(found.logits - model.logits(images)).max() < 1e-5 * np.ptp(model.logits(images))
    assert np.allclose(found.probabilities, model.probabilities(images), atol=1e-5)
    assert found.runtime == f"PyTorch {torch.__version__}, CPU, 1 thread"


def test_weights_of_another_network_do_not_fit(tmp_path):
    torch_module.export(model_of(ARCHITECTURES[0]), tmp_path, MATERIAL)
    (tmp_path / "b").mkdir()
    torch_module.export(model_of(ARCHITECTURES[1]), tmp_path / "b", MATERIAL)
    (tmp_path / "b" / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(ExportError, match=r"model.safetensors does not fit model.py"):
        torch_module.load_net(tmp_path)


def test_without_torch_it_is_exported_and_not_run(tmp_path):
    code = (
        "import sys; sys.modules.update(torch=None, matplotlib=None); from under20k.cli.main import main; "
        f"sys.exit(main(['export', 'minimal', '--to', 'torch', '--output', {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("not proved: PyTorch cannot be loaded")
    assert (tmp_path / "out" / "model.py").is_file()
