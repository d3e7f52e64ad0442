"""``under20k reproduce`` with a model of the user's own beside small networks."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

import under20k.runs.bench.reproduce
from tests.support.own_files import write_model
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL
from under20k.runs.bench.bench import Bench
from under20k.runs.run import Run

SMALL = dataclasses.replace(MINIMAL, architecture=Architecture.parse("1p,4p|l"), epochs=1, batch_size=5000)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist: Mnist) -> Path:
    """The current folder, with model.py and fast.json; a small network passes for the assignment's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(under20k.runs.bench.reproduce, "REPRODUCED", (SMALL,))
    write_model(tmp_path)
    fast = dataclasses.replace(SMALL, name="fast", epochs=2)
    Path("fast.json").write_text(fast.to_json(), encoding="utf-8")
    return tmp_path


def section(markdown: str, heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "native"), [("Tiny", True), ("Fourier", False)])
def test_the_assignments_page_has_the_model_in_it(here, name: str, native: bool, capsys):
    typed = ["reproduce", f"model.py:{name}", "--trust", "--arg", "width=3", "--like", "fast.json"]
    assert main([*typed, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    called = f"{name}+width=3+fast"
    assert list(printed["recipes"]) == [called, "minimal"]
    run = Run.open(here / "runs" / f"{called}-0")
    (bench,) = (Bench.open(path) for path in (here / "benches").glob(f"{name}*"))
    assert bench.recipe.own == run.recipe.own
    assert bench.last == [run.metrics()[-1].validation_accuracy]
    markdown = (here / "report" / "report.md").read_text(encoding="utf-8")
    assert f"{name}(width=3) of model.py:{name}" in section(markdown, "Results")
    requirements = section(markdown, "Requirements")
    assert re.search(rf"^\| Rule .*\| {re.escape(called)} +\| minimal +\|$", requirements, re.MULTILINE)
    assert "fc (model.py:" in requirements  # by the source, which the run keeps
    assert "### " + f"{called}, seed 0" in section(markdown, "Misclassified images")
    compared = section(markdown, "Model comparison")
    assert re.search(rf"^\| Parameters +\| +{run.recipe.own.parameters:,} \| +110 \|", compared, re.MULTILINE)
    insights = section(markdown, "Insights")
    assert re.search(r"^\| Parameters of the head +\| +– \| +50 \|", insights, re.MULTILINE)
    assert f"Pooling, {called}" not in insights
    layers = section(markdown, "Network structure")
    assert re.search(r"^\| conv +\| Conv2d +\| 3×6×6 ", layers, re.MULTILINE) if native else True
    assert ("so only PyTorch computes it" in layers) is not native
    # The same again trains nothing, and a bare reproduce has its own page.
    assert main([*typed, "--quiet"]) == 0
    assert f"{called}: ✗ " in capsys.readouterr().out
    assert main(["reproduce", "--quiet"]) == 0
    assert name not in (here / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model.py:Tiny"], "is code, which runs to be trained"),
        (["model.py:Nothing", "--trust"], "defines no 'Nothing'"),
        (["--like", "minimal"], "--like is for a model of your own, such as model.py:Net\n"),
        (["minimal", "--arg", "a=1"], "--arg is for a model of your own"),
        (["minimal"], "both recipes are called minimal"),
        (["minmal"], "did you mean 'minimal'"),
    ],
)
def test_bad_input_is_one_line(here, arguments, said, capsys):
    assert main(["reproduce", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert not Path("runs").exists()
