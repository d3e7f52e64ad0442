"""The verbs on models of the user's own: from a file to a run and a bench, and what reads them."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.command import assert_refused, same_weights
from tests.support.own_files import FAST, MODEL, write_model
from under20k.checking.check import check
from under20k.errors import UserError
from under20k.runs.run import Run

NAME = "Tiny+epochs=1+batch_size=5000"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mnist):
    """A folder with the file and a run of it, and what the training printed."""
    from tests.support import command

    folder = tmp_path_factory.mktemp("trained")
    write_model(folder)
    done = command.run(folder, "train", "model.py:Tiny", "--trust", *FAST)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_training_says_what_it_does_and_what_to_type_next(trained):
    folder, done = trained
    assert "Tiny is a graph of 6 operations, and one step of it equals the module's" in done.stderr
    assert "Tiny returns log-probabilities: trained on their negative log-likelihood (NLL)" in done.stderr
    run = Run.open(folder / "runs" / f"{NAME}-0")
    assert run.recipe.own.target == "model.py:Tiny"
    assert (run.path / "model" / "model.py").read_text(encoding="utf-8") == MODEL
    assert "under20k bench model.py:Tiny --seeds 0-9 --trust --epochs 1" in " ".join(done.stdout.split())
    assert "| Model" in (run.path / "report.md").read_text(encoding="utf-8")
    assert "torch" not in done.stderr


def test_the_run_is_read_without_the_file(trained, under20k, tmp_path):
    folder, _ = trained
    run = folder / "runs" / f"{NAME}-0"
    evaluated = under20k("evaluate", str(run), "--output", str(tmp_path), "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    accuracy = json.loads(evaluated.stdout)["accuracy"]
    assert accuracy == Run.open(run).metrics()[-1].validation_accuracy
    compared = json.loads(under20k("compare", str(run), "--json").stdout)
    assert compared[0]["parameters"] == 786
    shown = under20k("recipes", str(run / "recipe.json")).stdout
    assert re.search(r"conv +Conv2d +2×6×6 +52", shown)
    assert "--architecture" not in shown
    resumed = under20k("train", str(run / "recipe.json"), "--runs-dir", str(folder / "runs"))
    assert "already finished, reused" in resumed.stderr
    assert "--trust" in f"{resumed.stdout}{resumed.stderr}".split("For the mean over ten, run:")[1]


def test_the_run_is_checked_by_the_code_that_it_keeps(trained, under20k):
    folder, _ = trained
    run = folder / "runs" / f"{NAME}-0"
    refused = under20k("check", str(run))
    assert refused.returncode == 2
    assert "add --trust" in refused.stderr
    checked = json.loads(under20k("check", str(run), "--trust", "--json").stdout)
    findings = {finding["rule"]: finding for finding in checked["findings"]}
    assert checked["parameters"] == 786
    assert findings["epochs"]["evidence"] == "1"
    assert findings["dropout"]["status"] != "passed"  # it has none
    assert "model.py:" in findings["softmax"]["evidence"]
    with pytest.raises(UserError, match="--trust"):
        check(run)


def test_changed_code_is_not_judged_as_the_runs(trained, under20k, tmp_path):
    folder, _ = trained
    run = tmp_path / NAME
    shutil.copytree(folder / "runs" / f"{NAME}-0", run)
    source = run / "model" / "model.py"
    text = source.read_text(encoding="utf-8").replace("dropout=0.0", "dropout=0.1")
    source.write_text(text, encoding="utf-8")
    done = under20k("check", str(run), "--trust")
    assert_refused(done.returncode, done.stdout, done.stderr, "no longer holds the code that was trained")


def test_a_bench_against_another_model_and_beside_the_records(under20k, tmp_path):
    options = ("--trust", *FAST, "--seeds", "0-1", "--runs-dir", "own")
    write_model(tmp_path)
    done = under20k("bench", "model.py:Tiny", "--vs", "model.py:Logits", *options)
    assert done.returncode == 0, done.stderr
    assert f"{NAME} minus Logits+epochs=1+batch_size=5000: +0.000 points" in done.stdout
    assert re.search(r"regularized-plus .*record, track accurate", done.stdout)
    assert re.search(rf"{re.escape(NAME)} .*this bench", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "model.py:Tiny"), ("is code, which runs to be trained", "--trust")),
        (("bench", "model.py:Tiny", "--seeds", "0-1"), ("is code", "--trust")),
        (("bench", "minimal", "--vs", "model.py:Tiny"), ("is code", "--trust")),
        (("train", "model.py:Nothing", "--trust"), ("defines no 'Nothing'",)),
        (("train", "none.py:Net", "--trust"), ("none.py is not a file",)),
        (("train", "model.py:Eleven", "--trust"), ("returns (N, 11)", "expected (N, 10)")),
        (("train", "model.py:Tiny", "--trust", "--arg", "width"), ("--arg 'width' is not key=value",)),
        (("train", "model.py:Tiny", "--trust", "--like", "minmal"), ("did you mean 'minimal'",)),
        (("train", "model.py:Tiny", "--trust", "--architecture", "8|l"), ("--architecture", "leave it out")),
        (("train", "minimal", "--like", "robust"), ("--like is for a model of your own",)),
        (("train", "minimal", "--arg", "width=2"), ("--arg is for a model of your own",)),
        (("train", "model.py:Fourier", "--trust", "--engine", "native"), ("torch.fft", "--engine torch")),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(under20k, tmp_path, arguments, words):
    write_model(tmp_path)
    done = under20k(*arguments, *FAST)
    assert_refused(done.returncode, done.stdout, done.stderr, *words)
    assert not (tmp_path / "runs").exists()


def test_what_only_pytorch_trains_is_evaluated_by_the_kept_source_with_trust(under20k, tmp_path):
    write_model(tmp_path)
    done = under20k("train", "model.py:Fourier", "--trust", *FAST)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Fourier.forward uses torch.fft.fft2 \(model.py:\d+\): trained by PyTorch", done.stderr)
    (tmp_path / "model.py").unlink()
    run = f"runs/Fourier{NAME.removeprefix('Tiny')}-0"
    refused = under20k("evaluate", run)
    assert_refused(refused.returncode, refused.stdout, refused.stderr, "torch.fft.fft2", "--trust")
    evaluated = json.loads(under20k("evaluate", run, "--trust", "--json").stdout)
    assert evaluated["accuracy"] == Run.open(tmp_path / run).metrics()[-1].validation_accuracy


def test_a_bench_by_the_source_that_a_run_keeps(trained, under20k, tmp_path):
    folder, _ = trained
    run = folder / "runs" / f"{NAME}-0"
    refused = under20k("bench", str(run / "recipe.json"), "--seeds", "0-1")
    assert_refused(refused.returncode, refused.stdout, refused.stderr, "made by its constructor", "--trust")
    done = under20k("bench", str(run / "recipe.json"), "--seeds", "0-1", "--trust")
    assert done.returncode == 0, done.stderr
    assert same_weights(run, tmp_path / "runs" / f"{NAME}-0")


def test_a_changed_file_is_not_resumed(trained, under20k, tmp_path):
    folder, _ = trained
    write_model(tmp_path, MODEL.replace("width=2", "width=4"))
    done = under20k("train", "model.py:Tiny", "--trust", *FAST, "--runs-dir", str(folder / "runs"))
    assert_refused(
        done.returncode, done.stdout, done.stderr.splitlines(keepends=True)[-1], "Tiny has changed since"
    )


def test_a_record_needs_what_the_rules_say_of_its_graph(trained, under20k, tmp_path):
    folder, _ = trained
    done = under20k("bench", str(folder / "runs" / f"{NAME}-0" / "recipe.json"), "--seeds", "0", "--trust")
    assert done.returncode == 0, done.stderr
    refused = under20k("records", "submit", f"benches/{NAME}-seeds-0-0", "--track", "small")
    assert refused.returncode == 2
    assert "no global average pooling" in refused.stderr
    assert not Path(tmp_path / "records").exists()
