"""``under20k export`` as a user types it, with good and bad input."""

import json
import re
import resource
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.support import ROOT, command
from tests.support.command import assert_refused, contents
from under20k.cli.main import main
from under20k.deploy.export import onnx_run
from under20k.deploy.export.formats import FORMATS
from under20k.deploy.export.tolerance import Tolerance
from under20k.runs.run import Run

RUN = "runs/small"
EXPORT = ["export", RUN, "--to", "onnx"]
PAGE = (ROOT / "docs" / "export.md").read_text("utf-8")
ONNX = {"model.onnx", "model-uint8.onnx", "README.md", "proof.json"}


def test_onnx(small, tmp_path, mnist, capsys):
    assert main(EXPORT) == 0
    out, err = capsys.readouterr()
    assert err == ""
    folder = Path("exports/small-onnx")
    assert {path.name for path in folder.iterdir()} == ONNX
    found = json.loads((folder / "proof.json").read_text())
    session = onnxruntime.InferenceSession(folder / "model-uint8.onnx", providers=["CPUExecutionProvider"])
    (digits,) = session.run(["logits"], {"image": mnist.validation.images[:, None]})
    right = int((digits.argmax(1) == mnist.validation.labels).sum())
    assert found["accuracy"] == found["engine_accuracy"] == right / 10_000
    assert right / 10_000 == Run.open(small).metrics()[-1].validation_accuracy
    assert found["size_bytes"] == (folder / "model.onnx").stat().st_size
    assert session.get_modelmeta().custom_metadata_map["validation_accuracy"] == f"{right / 10_000:.4f}"
    assert out.startswith(
        "✓ within the tolerance (no logit differs by more than 0.0001 of the logits' range, "
    )
    facts = dict(re.findall(r"^([\w ]+): +(.+)$", out, re.M))
    assert facts.pop("folder") == str(folder)
    assert set(facts.pop("files").split(", ")) == ONNX
    assert facts["validation accuracy"] == f"{right / 10_000:.2%}; the engine's is {right / 10_000:.2%}"
    assert facts["predictions changed"] == "0"
    readme = (folder / "README.md").read_text()
    assert dict(re.findall(r"^- ([\w ]+): (.+)$", readme, re.M)) == facts


def test_the_page_s_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (transcript,) = re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S)
    program, *_ = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    command, *expected = transcript.splitlines()
    assert main(shlex.split(command)[2:]) == 0
    printed = capsys.readouterr().out.splitlines()
    differs = re.compile(r"[\d.e-]+(?= of the logits)|[\d,]+(?= µs)|(?<=onnxruntime )[\d.]+")
    assert [differs.sub("…", line) for line in printed] == [differs.sub("…", line) for line in expected]
    names: dict[str, Any] = {}
    exec(compile(program, "export.md", "exec"), names)
    assert names["digits"].shape == (5,)
    assert names["probabilities"].sum(1) == pytest.approx(np.ones(5), abs=1e-6)


@pytest.mark.parametrize(
    "format",
    # Proving the page takes a while, and its own tests do it with fewer images.
    [pytest.param(name, marks=pytest.mark.slow if name == "html" else ()) for name in FORMATS],
)
def test_a_pretrained_model_in_every_format(tmp_path, monkeypatch, capsys, format):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "minimal", "--to", format, "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert (proof["folder"], proof["model"]) == (f"exports/minimal-{format}", "minimal")
    assert proof["passed"] or proof["not_run"]


def test_the_proof_as_json(small, capsys):
    assert main([*EXPORT, "--json", "--output", "deep/here"]) == 0
    printed = json.loads(capsys.readouterr().out)
    kept = json.loads(Path("deep/here/proof.json").read_text())
    assert kept["files"] == ["model.onnx", "model-uint8.onnx", "README.md", "proof.json"]
    assert printed == {"folder": "deep/here", **kept}


def test_neither_torch_nor_matplotlib_is_needed(small, tmp_path):
    without = "import sys; sys.modules.update(torch=None, matplotlib=None)"
    code = f"{without}; from under20k.cli.main import main; sys.exit(main({EXPORT!r}))"
    process = command.start(tmp_path, command=[sys.executable, "-c", code])
    out, err = process.communicate(timeout=command.TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    assert "predictions changed:           0\n" in out


def test_a_missed_tolerance_is_exit_code_1_and_leaves_nothing(small, tmp_path, monkeypatch, capsys):
    before = contents(tmp_path)
    strict = replace(FORMATS["onnx"], tolerance=Tolerance(logit_relative=1e-12))
    monkeypatch.setitem(FORMATS, "onnx", strict)
    assert main(EXPORT) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("under20k: the export of small to onnx fails: a logit differs by ")
    assert err.count("\n") == 1
    assert contents(tmp_path) == before
    assert not Path("exports").exists()


def test_files_that_disagree_are_exit_code_1(small, tmp_path, monkeypatch, capsys):
    real = onnx_run._outputs
    monkeypatch.setattr(onnx_run, "_outputs", lambda of, x: [y + (x.dtype == "uint8") for y in real(of, x)])
    assert main(EXPORT) == 1
    assert "model-uint8.onnx and model.onnx give different logits" in capsys.readouterr().err
    assert not Path("exports").exists()


def test_without_proof(small, capsys, monkeypatch, tmp_path):
    assert main([*EXPORT, "--no-proof", "--data-dir", str(tmp_path / "no-mnist")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("not proved: --no-proof was given\n")
    assert not (tmp_path / "no-mnist").exists()
    assert "Nothing is proved: --no-proof was given." in Path("exports/small-onnx/README.md").read_text()


def test_an_export_is_kept_unless_told(small, tmp_path, capsys):
    assert main([*EXPORT, "--no-proof"]) == 0
    before = contents(tmp_path)
    capsys.readouterr()
    assert_refused(main(EXPORT), *capsys.readouterr(), "exports/small-onnx holds an export", "--overwrite")
    assert contents(tmp_path) == before
    assert main([*EXPORT, "--overwrite"]) == 0
    assert json.loads(Path("exports/small-onnx/proof.json").read_text())["passed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export"], ["MODEL", "see 'under20k export --help'"]),
        (["export", RUN], ["--to", "see 'under20k export --help'"]),
        (["export", RUN, "--to", "onix"], ["--to is 'onix'; expected one of onnx, ", "did you mean 'onnx'?"]),
        (["export", "runs/none", "--to", "onnx"], ["runs/none"]),
        (["export", ".", "--to", "onnx"], ["not a run folder"]),
        (["export", f"{RUN}/recipe.json", "--to", "onnx"], [f"{RUN}/recipe.json"]),
        ([*EXPORT, "--output", f"{RUN}/recipe.json"], ["recipe.json is a file; name a folder with --output"]),
        ([*EXPORT, "--output", "."], [". is the current folder, which is not replaced"]),
        ([*EXPORT, "--output", RUN], [f"{RUN} holds files that are no export"]),
        ([*EXPORT, "--output", RUN, "--overwrite"], [f"{RUN} holds files that are no export"]),
        ([*EXPORT, "--output", f"{RUN}/recipe.json/x"], ["recipe.json/x cannot be written: "]),
        ([*EXPORT, "--output", ""], ["--output: it is empty"]),
    ],
)
def test_bad_input(small, tmp_path, capsys, arguments, words):
    before = contents(tmp_path)
    assert_refused(main(arguments), *capsys.readouterr(), *words)
    assert contents(tmp_path) == before


def test_an_unfinished_run(unfinished, tmp_path, capsys):
    before = contents(tmp_path)
    words = ["runs/small holds no trained model (2 of 3 epochs done)"]
    assert_refused(main(EXPORT), *capsys.readouterr(), *words)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_extra(small, tmp_path, monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    words = [f"{package} is not installed", "pip install 'under20k[export]'"]
    assert_refused(main(EXPORT), *capsys.readouterr(), *words)
    assert not Path("exports").exists()


def limit_files() -> None:
    """No room for the weights: EFBIG, where a full disk gives ENOSPC."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.mark.parametrize("format", ["onnx", "onnx-int8", "torch", "hub-folder"])
def test_a_full_disk(under20k, small, tmp_path, format):
    before = contents(tmp_path)
    done = under20k("export", RUN, "--to", format, preexec_fn=limit_files)
    words = [f"exports/small-{format} cannot be written: File too large"]
    assert_refused(done.returncode, done.stdout, done.stderr, *words)
    assert contents(tmp_path) == before
    assert not Path("exports").exists()
