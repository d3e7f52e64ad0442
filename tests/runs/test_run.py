"""Create, open, resume, lock and read run folders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.support.run_folders import ENVIRONMENT, SMALL, metrics, new_run, state
from under20k.engine.module import build
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.recipe.weights import initial_weights
from under20k.runs.run import Run, lock, run_path


def test_a_new_run_can_be_opened(tmp_path):
    made = new_run(tmp_path / "runs" / "small-0")
    opened = Run.open(str(made.path))  # as people type it
    assert opened == made
    assert (opened.recipe, opened.seed) == (SMALL, 0)
    assert opened.environment == {"format": 1, "seed": 0, **ENVIRONMENT}
    assert not opened.finished
    assert opened.metrics() == []
    assert opened.checkpoint() is None
    assert opened.test_readings() == []
    assert sorted(os.listdir(made.path)) == ["environment.json", "recipe.json"]


def test_an_epoch_comes_back_bit_by_bit(tmp_path):
    run = new_run(tmp_path / "run")
    tensors = state()
    tensors["head.conv.weight"] = np.asfortranarray(tensors["head.conv.weight"])
    run.save_epoch(tensors, metrics(2))
    found = Run.open(run.path).checkpoint()
    assert found is not None
    assert found[1] == metrics(2) == run.metrics()
    assert found[0].keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[0][name].dtype == np.float32
        assert np.array_equal(found[0][name], value), name
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_equal_content_is_equal_bytes(tmp_path):
    """Eight times, since the library's own order of three entries is right one time in six."""
    run = new_run(tmp_path / "run")
    found = set()
    for _ in range(8):
        run.save_epoch(dict(reversed(state().items())), metrics(2))
        found.add((run.path / "checkpoint.safetensors").read_bytes())
    assert len(found) == 1


def test_a_finished_run_loads_in_plain_pytorch(tmp_path):
    run = new_run(tmp_path / "run", epochs=3, finished=True)
    assert run.finished
    weights = run.weights()
    assert all(np.array_equal(weights[k], v) for k, v in initial_weights(SMALL.architecture, 0).items())
    network = build(SMALL.architecture, load_file(run.path / "model.safetensors"))
    assert np.array_equal(network.head.conv.bias.detach().numpy(), weights["head.conv.bias"])


@pytest.mark.parametrize(
    ("epochs", "finished", "words"),
    [
        (0, False, "unfinished run (0 of 3 epochs)"),
        (2, False, "(2 of 3 epochs)"),
        (3, True, "a finished run"),
    ],
)
def test_a_run_is_not_overwritten_by_default(tmp_path, epochs, finished, words):
    path = new_run(tmp_path / "run", epochs, finished).path
    before = {item.name: item.read_bytes() for item in path.iterdir()}
    with pytest.raises(UserError) as refusal:
        Run.create(path, MINIMAL, 1, {})
    assert words in str(refusal.value)
    resumed = "returns it" if finished else "continues it"
    assert f'existing="resume" {resumed}, existing="replace" trains it' in str(refusal.value)
    assert {item.name: item.read_bytes() for item in path.iterdir()} == before


def test_overwriting_removes_the_run_and_nothing_else(tmp_path):
    run = new_run(tmp_path / "run", 3, finished=True)
    run.add_test_reading({"read": "2026-01-02", "correct": 9_900, "images": 10_000})
    (run.path / "notes.txt").write_text("mine")
    again = Run.create(run.path, MINIMAL, 7, ENVIRONMENT, overwrite=True)
    assert sorted(os.listdir(run.path)) == ["environment.json", "notes.txt", "recipe.json"]
    assert Run.open(run.path) == again
    assert (again.recipe, again.seed, again.finished) == (MINIMAL, 7, False)


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(UserError, match="contains files that are not a run"):
        Run.create(tmp_path, SMALL, 0, {})
    with pytest.raises(UserError, match="cannot be written: File exists"):
        Run.create(tmp_path / "thesis.doc", SMALL, 0, {})
    with pytest.raises(UserError, match="seed: -1"):
        Run.create(tmp_path / "new", SMALL, -1, {})
    assert os.listdir(tmp_path) == ["thesis.doc"]


def test_a_missing_model_reports_the_epochs_done(tmp_path):
    with pytest.raises(UserError, match=r"no trained model \(2 of 3 epochs done\).*under20k train …'$"):
        new_run(tmp_path / "run", epochs=2).weights()


def test_no_report_of_the_unfinished_run_outlives_it(tmp_path, monkeypatch):
    run = new_run(tmp_path / "run", epochs=3)
    names = ("curves.png", "curves-dark.png", "report.md")
    for name in names:
        (run.path / name).write_text("unfinished")
    there = []
    replace = Path.replace

    def observed(self, target):
        if Path(target).name == "model.safetensors":
            there.extend(name for name in names if (run.path / name).exists())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", observed)
    run.save_model(initial_weights(SMALL.architecture, 0), metrics(3))
    assert run.finished
    assert there == []
    assert not any((run.path / name).exists() for name in names)


def test_prepared_creates_a_run_and_resumes_it(tmp_path):
    path = tmp_path / "run"
    with Run.prepared(path, SMALL, 0, ENVIRONMENT) as run:
        run.save_epoch(state(), metrics(1))
    with Run.prepared(path, SMALL, 0, {"engine": "native"}, "resume") as run:
        assert run.metrics() == metrics(1)
        assert run.session == {"engine": "native"}
    assert Run.open(path).environment["resumed"] == [{"engine": "native"}]
    with pytest.raises(UserError, match="1 of 3 epochs"), Run.prepared(path, SMALL, 0, ENVIRONMENT):
        raise AssertionError("never entered")
    with Run.prepared(path, SMALL, 0, ENVIRONMENT, "replace") as run:
        assert run.metrics() == []


@pytest.mark.parametrize(("recipe", "seed"), [(MINIMAL, 0), (SMALL, 1)])
def test_prepared_does_not_resume_another_recipe_or_seed(tmp_path, recipe, seed):
    path = new_run(tmp_path / "run", epochs=1).path
    with (
        pytest.raises(UserError, match="with seed 0, not this recipe and seed"),
        Run.prepared(path, recipe, seed, ENVIRONMENT, "resume"),
    ):
        raise AssertionError("never entered")


def test_a_locked_run_is_refused_here_and_in_another_process(tmp_path):
    code = (
        "import sys, pathlib, under20k.runs.run as run\nwith run.lock(pathlib.Path(sys.argv[1])): print('in')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with lock(tmp_path / "run"):
        with pytest.raises(UserError, match="another process is training in"), lock(tmp_path / "run"):
            raise AssertionError("never entered")
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert "another process is training in" in other.stderr
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (other.returncode, other.stdout) == (0, "in\n")


def test_a_lock_is_released_when_the_block_fails_and_leftovers_are_removed(tmp_path):
    def fail() -> None:
        with lock(tmp_path):
            raise KeyError

    (tmp_path / ".checkpoint-abc123.safetensors").write_bytes(b"half")
    with pytest.raises(KeyError):
        fail()
    with lock(tmp_path):
        assert not list(tmp_path.glob("*.safetensors"))
        assert not list(tmp_path.glob(".checkpoint*"))


def test_a_folder_that_cannot_be_locked_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match=r"is a file|cannot be written"), lock(path):
            raise AssertionError("never entered")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("minimal", "minimal-0"),
        ("minimal+epochs=4+learning_rate=0.2", "minimal+epochs=4+learning_rate=0.2-0"),
        ("minimal+architecture=8,12p|3v", "minimal+architecture=8,12p_3v-0"),
        ('a/b\\c:d*e?f"g<h>i j', "a_b_c_d_e_f_g_h_i_j-0"),
        ("../up", ".._up-0"),
    ],
)
def test_run_path(name, folder):
    assert run_path(Path("runs"), name, 0) == Path("runs") / folder


@given(st.text(min_size=1), st.integers(0, 2**32 - 1))
def test_run_paths_stay_in_their_folder(name, seed):
    path = run_path(Path("runs"), name, seed)
    assert path.parent == Path("runs")
    assert path.name.endswith(f"-{seed}")
    assert path.name not in (".", "..")
