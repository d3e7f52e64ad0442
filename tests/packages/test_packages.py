"""Good models among what students' files import and do, in the environment of ``make check-packages``."""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.surroundings import IMPORTS, NET, PARAMETERS, SURROUNDINGS, Surrounding
from under20k.checking.profiles import load_profile
from under20k.checking.sandbox.sandbox import Sandbox, judge_all

try:
    stand_in = "standin" in importlib.metadata.version("torchvision")
except importlib.metadata.PackageNotFoundError:
    stand_in = False
if not stand_in and not os.environ.get("UNDER20K_PACKAGES"):
    pytest.skip("make check-packages runs it, beside the packages", allow_module_level=True)

Result = dict[str, Any]
JOBS = 2
CLASS = 77
WITHOUT = "import sys\nsys.modules['torchvision'] = None\n"
LYING = ("good.txt", "data/good.txt")
HELPER = "def accuracy(a, b):\n    return (a == b).mean()\n"


def notebook(*cells: str) -> str:
    """The text of a notebook."""
    found = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells]
    return json.dumps({"cells": found, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def lazily(imports: str) -> str:
    """Imported when the model is called."""
    inside = "".join(f"        {line}\n" for line in imports.splitlines())
    return NET.replace("    def forward(self, x):\n", f"    def forward(self, x):\n{inside}")


def placed(imports: str) -> dict[str, dict[str, str]]:
    """Files by name, by where the import stands; the first of each is judged."""
    return {
        "top": {"model.py": f"{imports}\n{NET}"},
        "helper": {"model.py": f"from helper import accuracy\n{NET}", "helper.py": f"{imports}\n{HELPER}"},
        "notebook": {"work.ipynb": notebook(imports, NET, "model = Net()\nprint(model)")},
        "lazily": {"model.py": lazily(imports)},
    }


PLACED = [(name, place) for name, imports in IMPORTS.items() for place in placed(imports)]


def judge(folder: Path, submissions: dict[str, dict[str, str]], **limits: float) -> dict[str, Result]:
    """Each submission's first file, in a folder of its own. The current folder has files to lose."""
    texts = {}
    for name, files in submissions.items():
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text)
        texts[os.path.join(name, next(iter(files)))] = name
    (folder / "data").mkdir()
    for file in LYING:
        (folder / file).write_text("good")
    sandbox = Sandbox(load_profile("brief"), **limits)
    with contextlib.chdir(folder):
        return {texts[text]: result for text, result in judge_all(list(texts), sandbox, JOBS)}


def verdicts(result: Result) -> dict[str, str]:
    return {finding.rule: finding.status for finding in result.findings}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Result:
    """The model with nothing beside it."""
    result = judge(tmp_path_factory.mktemp("plain"), {"plain": {"model.py": NET}})["plain"]
    assert result.parameters == PARAMETERS
    assert result.notes == ()
    return result


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> dict[str, Result]:
    found = {f"{name}-{place}": placed(IMPORTS[name])[place] for name, place in PLACED}
    return judge(tmp_path_factory.mktemp("imported"), found)


@pytest.fixture(scope="module")
def surrounded(tmp_path_factory) -> dict[str, Result]:
    found = {one.name: {"model.py": one.source()} for one in SURROUNDINGS}
    return judge(tmp_path_factory.mktemp("surrounded"), found)


def same(result: Result, plain: Result, parameters: int = PARAMETERS) -> None:
    assert result.error is None, result.error
    assert verdicts(result) == verdicts(plain)
    assert (result.model, result.parameters) == ("Net", parameters)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), PLACED)
def test_a_package_imported(imported, plain, name, place):
    result = imported[f"{name}-{place}"]
    same(result, plain)
    assert result.notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("case", SURROUNDINGS, ids=lambda case: case.name)
def test_what_surrounds_a_model(surrounded, plain, case: Surrounding):
    result = surrounded[case.name]
    same(result, plain, case.parameters)
    notes = " ".join(result.notes)
    if case.stops:
        assert f"model.py:{case.line()}" in notes, notes
    else:
        assert "definitions" not in notes, notes


@pytest.mark.slow
def test_no_side_effect_remains(surrounded, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    assert surrounded
    (folder,) = [path for path in base.glob("surrounded*") if not path.is_symlink()]
    left = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    files = {Path(case.name, "model.py") for case in SURROUNDINGS} | {Path(file) for file in LYING}
    assert {path for path in left if "__pycache__" not in path.parts} == files
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {c.name for c in SURROUNDINGS} | {
        "data"
    }
    assert not (base / "data").exists()


@pytest.mark.slow
def test_the_verdict_is_the_same_without_torchvision(tmp_path, monkeypatch, imported, surrounded, plain):
    """As on a machine that lacks it: Python itself finds no such module."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    files = {
        f"{name}-{place}": placed(IMPORTS[name])[place]
        for name, place in PLACED
        if name.startswith("torchvision") and place != "lazily"  # which needs it
    }
    files |= {case.name: {"model.py": case.source()} for case in SURROUNDINGS if "torchvision" in case.text}
    assert len(files) > 15
    here = imported | surrounded
    for name, result in judge(tmp_path / "files", files).items():
        same(result, plain)
        same(here[name], plain)
        if not name.endswith("notebook"):  # of which the definitions run in any case
            assert "torchvision" in " ".join(result.notes), name


@pytest.mark.slow
def test_a_training_that_takes_too_long_is_left_out(tmp_path, plain):
    text = f"{NET}\nfor epoch in range(10**9):\n    model(torch.randn(64, 1, 28, 28)).sum().backward()\n"
    result = judge(tmp_path, {"long": {"model.py": text}}, time_limit_s=8)["long"]
    same(result, plain)
    assert "definitions" in " ".join(result.notes)


LIGHTNING = NET.replace("class Net(nn.Module)", "class Net(L.LightningModule)").replace(
    "        self.b = nn",
    "        self.accuracy = torchmetrics.Accuracy(task='multiclass', num_classes=10)\n        self.b = nn",
)


@pytest.mark.slow
def test_a_model_made_with_the_packages(tmp_path, plain):
    files = {
        "lightning": {"model.py": f"import lightning as L\nimport torchmetrics\n{LIGHTNING}"},
        "pytorch_lightning": {"model.py": f"import pytorch_lightning as L\nimport torchmetrics\n{LIGHTNING}"},
        "cuda_forward": {"model.py": lazily("x = x.cuda() if torch.cuda.is_available() else x")},
        "timm": {
            "model.py": "from timm.layers import DropPath\n"
            + NET.replace(
                "        self.b = nn", "        self.path = DropPath(0.0)\n        self.b = nn"
            ).replace("return self.b(x)", "return self.b(self.path(x))")
        },
        "torchvision_gate": {
            "model.py": "from torchvision.ops import SqueezeExcitation\n"
            + NET.replace(
                "        self.b = nn", "        self.gate = SqueezeExcitation(4, 2)\n        self.b = nn"
            ).replace("return self.b(x)", "return self.b(self.gate(x))")
        },
    }
    results = judge(tmp_path, files)
    for name, result in results.items():
        assert result.notes == ()
        if name != "torchvision_gate":
            same(result, plain)
            continue
        # 4·2 + 2 + 2·4 + 4 parameters more, and what it multiplies by has seen the whole image.
        assert result.parameters == PARAMETERS + 22
        assert verdicts(result) == verdicts(plain) | {"receptive_field": "passed"}


@pytest.mark.slow
def test_a_model_that_needs_a_gpu_gets_an_error_with_the_line(tmp_path, plain):
    result = judge(tmp_path, {"cuda": {"model.py": lazily("x = x.cuda()")}})["cuda"]
    line = next(n for n, line in enumerate(lazily("x = x.cuda()").splitlines(), 1) if ".cuda()" in line)
    if result.error is not None:
        assert "GPU" in result.error
        assert f"model.py:{line}" in result.error
    else:  # it was run on the CPU
        same(result, plain)
        assert result.notes


MEMBER = """from __future__ import print_function
import torch
import torchvision
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torchvision import datasets, transforms


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.a = nn.Conv2d(1, WIDTH, 3)
        self.an = nn.BatchNorm2d(WIDTH)
        self.b = nn.Conv2d(WIDTH, 16, 3)
        self.bn = nn.BatchNorm2d(16)
        self.pool = nn.MaxPool2d(2, 2)
        self.drop = nn.Dropout(0.05)
        self.c = nn.Conv2d(16, 10, 3)

    def forward(self, x):
        x = self.drop(F.relu(self.an(self.a(x))))
        x = self.pool(F.relu(self.bn(self.b(x))))
        return F.log_softmax(F.avg_pool2d(self.c(x), 10).view(-1, 10), dim=1)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = Net().to(device)
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])


def train(model, loader, optimizer, epoch):
    model.train()
    for data, target in loader:
        optimizer.zero_grad()
        F.nll_loss(model(data.to(device)), target.to(device)).backward()
        optimizer.step()


if __name__ == "__main__":
    loader = torch.utils.data.DataLoader(datasets.MNIST("../data", download=True, transform=transform), 128)
    for epoch in range(1, 16):
        train(model, loader, optimizer, epoch)
"""


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "under20k", "check", *arguments, "--trust"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=600)


def children_cpu_s() -> float:
    """Of the processes that have ended; it tells more than the clock where other work shares the cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_a_class_that_imports_torchvision(tmp_path, capsys):
    """Its time is printed, not judged: other work may share the cores."""
    for number in range(CLASS):
        folder = tmp_path / "class" / f"student{number:02d}"
        folder.mkdir(parents=True)
        width = 4 + number % 5
        if number % 3:
            (folder / "model.py").write_text(MEMBER.replace("WIDTH", str(width)))
            (folder / "train.py").write_text("from model import Net, train\n")
        else:
            text = MEMBER.partition('if __name__ == "__main__"')[0].replace("WIDTH", str(width))
            (folder / "work.ipynb").write_text(notebook(*text.split("\n\n\n")))
    start_s, cpu_s = time.monotonic(), children_cpu_s()
    done = command(tmp_path, "class", "--jobs", str(JOBS), "--csv", "class.csv")
    taken_s, cpu_s = time.monotonic() - start_s, children_cpu_s() - cpu_s
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with capsys.disabled():
        print(f"\n{CLASS} submissions that import torchvision: {taken_s:.1f} s, CPU time {cpu_s:.1f} s")
    with (tmp_path / "class.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parameters = [row[next(key for key in row if "arameters" in key)] for row in rows]
    assert len(rows) == CLASS
    for number, count in enumerate(parameters):
        width = 4 + number % 5
        right = width * 10 + 2 * width + (width * 9 * 16 + 16) + 32 + (16 * 9 * 10 + 10)
        assert int(count.replace(",", "")) == right
    assert f"{CLASS} of {CLASS} passed" in done.stdout


@pytest.mark.slow
def test_one_model_from_the_command(tmp_path, capsys):
    """Times are printed, not judged."""
    times: dict[str, list[float]] = {"plain": [], "torchvision": []}
    (tmp_path / "plain.py").write_text(NET)
    (tmp_path / "torchvision_too.py").write_text(f"import torchvision\n{NET}")
    for _ in range(3):
        for name, file in (("plain", "plain.py"), ("torchvision", "torchvision_too.py")):
            start_s = time.monotonic()
            done = command(tmp_path, file, "--json")
            times[name].append(time.monotonic() - start_s)
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout)["parameters"] == PARAMETERS
    medians: Callable[[str], float] = lambda name: sorted(times[name])[1]  # noqa: E731
    with capsys.disabled():
        print(f"\none model: {medians('plain'):.1f} s, with torchvision {medians('torchvision'):.1f} s")
