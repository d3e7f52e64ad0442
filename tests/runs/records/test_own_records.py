"""Records of a user's own model, trained for real: made, verified and retrained without its code."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

import under20k.runs.records.submit
from tests.support import forger
from tests.support.own_files import own
from under20k.checking.training.calls import bench
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.deploy.model import load as load_model
from under20k.errors import UserError
from under20k.files import read_json
from under20k.recipe.architecture import Architecture
from under20k.recipe.own_model import OwnModel
from under20k.report.records import write_record_page
from under20k.runs import own_start
from under20k.runs.own_start import OwnStart
from under20k.runs.places import Places
from under20k.runs.records.graph_rules import graph_rules
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.records.submit import submit
from under20k.runs.records.timing import timed
from under20k.runs.records.verify import check
from under20k.runs.tensors import safetensors_bytes

MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self, custom=False):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 5, stride=4)
        self.bn = nn.BatchNorm2d(3)
        self.head = nn.Conv2d(3, 10, 1)
        if custom:
            nn.init.normal_(self.head.weight)

    def forward(self, x):
        x = self.head(self.bn(self.conv(x)).relu())
        return x.mean((2, 3))
"""
SEEDS = range(20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Path:
    """A folder with the file and a bench of it, not to be changed."""
    made = tmp_path_factory.mktemp("own-records")
    (made / "model.py").write_text(MODEL)
    places = Places(made / "runs", made / "benches")
    settings = {"like": "minimal", "epochs": 1, "batch_size": 5000}
    bench(f"{made / 'model.py'}:Net", SEEDS, trust=True, places=places, **settings)
    return made


@pytest.fixture(scope="module")
def record(folder: Path) -> Path:
    """The record of that bench."""
    with pytest.MonkeyPatch.context() as patch:
        # Whatever the state of these sources, they count as committed.
        patch.setattr("under20k.runs.records.bench_runs.committed", clean)
        path = submit(bench_folder(folder), "accurate", name="own", records_dir=folder / "records")
    write_record_page(Record.open(path), path)
    return path


def clean(environment):
    return {key: value for key, value in environment.items() if key != "git_diff"} | {"git": "0" * 40}


def bench_folder(folder: Path) -> Path:
    (found,) = (folder / "benches").iterdir()
    return found


pytestmark = pytest.mark.slow


def test_it_is_verified_and_retrained_when_the_code_is_gone(folder, record, tmp_path, monkeypatch, capsys):
    copied = shutil.copytree(folder / "records", tmp_path / "records")
    monkeypatch.chdir(tmp_path)
    values = read_json(record / "record.json")
    assert values["parameters"] == 3 * 25 + 3 + 6 + 40
    start = own_start.read(next((folder / "runs").glob("*-7")))
    model = Record.open(record).bench.recipe.own
    assert values["seeds"][7]["initial_sha256"] == weights_sha256(start.weights(model))
    assert {path.name for path in record.iterdir()} == {
        "record.json", "curves.jsonl", "model.safetensors", "README.md", "curves.png", "curves-dark.png"
    }  # fmt: skip
    # Nothing may run the author's code.
    monkeypatch.setattr("under20k.checking.training.load.load_model", None)
    assert main(["records", "verify", "--records-dir", str(copied), "--rerun", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"]
    assert [again["same_bits"] for again in found["reruns"]] == [True, True]
    page = (record / "README.md").read_text(encoding="utf-8")
    assert "Verification runs none of its code" in page
    assert "not part of the record; SHA-256" in page
    assert main(["compare", str(record), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["parameters"] == values["parameters"]
    assert main(["records", "--records-dir", str(copied)]) == 0
    assert re.search(r"\d{4}-\d\d-\d\d-own ", capsys.readouterr().out)
    kept = load_model(record)
    assert kept.recipe.own == model


def test_a_training_of_it_can_be_timed(record, tmp_path):
    one = Record.open(record)
    weights = under20k.runs.records.submit.start_of(one.bench.recipe, 0, one.initial)
    weights.write(tmp_path / "run")
    assert timed(one.bench.recipe, 0, "native", tmp_path, (), None) > 0
    trained = load((tmp_path / "run" / "model.safetensors").read_bytes())
    kept = load((record / "model.safetensors").read_bytes())
    assert all(np.array_equal(trained[name], value) for name, value in kept.items())


def graph_changed(forged: forger.Forged) -> None:
    graph = forged.values["recipe"]["architecture"]["graph"]
    next(node for node in graph if node["op"] == "batch_norm")["eps"] = 0.1


def graph_and_model_changed(forged: forger.Forged) -> None:
    graph_changed(forged)
    weights = load(forged.files["model.safetensors"])
    metadata = {"recipe": json.dumps(forged.values["recipe"]), "seed": "0"}
    forged.files["model.safetensors"] = safetensors_bytes(weights, metadata)


def initial_changed(forged: forger.Forged) -> None:
    forged.seed(3)["initial_sha256"] = "0" * 64


def initial_swapped(forged: forger.Forged) -> None:
    one, other = forged.seed(3), forged.seed(4)
    one["initial_sha256"], other["initial_sha256"] = other["initial_sha256"], one["initial_sha256"]


def initial_missing(forged: forger.Forged) -> None:
    del forged.seed(3)["initial_sha256"]


def trained_changed(forged: forger.Forged) -> None:
    weights = load(forged.files["model.safetensors"])
    weights["head.bias"] = weights["head.bias"] + 1
    metadata = {"recipe": json.dumps(forged.values["recipe"]), "seed": "0"}
    forged.files["model.safetensors"] = safetensors_bytes(weights, metadata)


def figure_changed(name: str, value: int) -> Callable[[forger.Forged], None]:
    """State another figure wherever the record shows it."""

    def change(forged: forger.Forged) -> None:
        for values in (forged.values, forged.values["recipe"]["architecture"]):
            if name in values:
                values[name] = value
        weights = load(forged.files["model.safetensors"])
        metadata = {"recipe": json.dumps(forged.values["recipe"]), "seed": "0"}
        forged.files["model.safetensors"] = safetensors_bytes(weights, metadata)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (figure_changed("macs", 7), "7 multiply-accumulates; its graph has 3,780"),
        (figure_changed("receptive_field", 28), "a receptive field of 28 pixels, which no layer"),
        (graph_changed, "belongs to another recipe"),
        (initial_changed, "seed 3: its initial weights are not those that PyTorch gives its layers"),
        (initial_swapped, "seed 3, 4: its initial weights are not those"),
        (initial_missing, "initial_sha256 is None; expected 64 hexadecimal digits"),
        (trained_changed, "does not match the weights checksum of seed 0"),
    ],
)
def test_what_was_tampered_with_is_found(record, tmp_path, change, said):
    path = forger.forge(record, tmp_path, change)
    assert any(said in found for found in check(path)), check(path)


def test_another_graph_in_record_and_model_gives_other_figures_and_bits(record, tmp_path, capsys):
    path = forger.forge(record, tmp_path, graph_and_model_changed)
    assert check(path) == []
    assert main(["records", "verify", str(path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["records"]
    assert "its model of seed 0" in found["wrong"][0]
    assert main(["records", "verify", str(path), "--no-models", "--rerun", "1", "--json"]) == 1
    (again,) = json.loads(capsys.readouterr().out)["reruns"]
    assert again["same_bits"] is not True


def huge_tensor(forged: forger.Forged) -> None:
    model = forged.values["recipe"]["architecture"]
    model["tensors"] |= {f"idle{i}.running_{what}": [2**24] for i in range(99) for what in ("mean", "var")}


def huge_counter(forged: forger.Forged) -> None:
    forged.values["recipe"]["architecture"]["integers"]["bn.num_batches_tracked"] = [2**24]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (huge_tensor, "its graph does not use 'idle0.running_mean' and 197 more"),
        (huge_tensor, "tensors of 3,321,888,899 elements; a record's network has at most 60,000"),
        (huge_counter, "tensors of 16,777,346 elements"),
    ],
)
def test_nothing_is_drawn_for_tensors_that_break_a_rule(record, tmp_path, monkeypatch, change, said):
    monkeypatch.setattr("under20k.runs.records.initial.default_weights", None)
    path = forger.forge(record, tmp_path, change)
    assert any(said in found for found in check(path)), check(path)


def test_an_unchanged_copy_by_the_forger_is_valid(record, tmp_path):
    assert check(forger.forge(record, tmp_path, lambda forged: None)) == []


def test_trained_weights_to_begin_with_are_refused(folder, tmp_path, monkeypatch):
    """A constructor could load them; of one that draws in its own way, nobody can tell."""
    copied = shutil.copytree(folder, tmp_path / "copied")
    run = next((copied / "runs").glob("*-5"))
    start = own_start.read(run)
    OwnStart({**start.initial, "head.bias": start.initial["head.bias"] + 1}, start.files).write(run)
    monkeypatch.setattr("under20k.runs.records.bench_runs.committed", clean)
    with pytest.raises(UserError, match="seed 5: its initial weights are not those that PyTorch gives"):
        submit(bench_folder(copied), "accurate", records_dir=tmp_path / "records")
    assert not (tmp_path / "records").exists()


def graphed(text: str) -> OwnModel:
    return own(Architecture.parse(text))


def test_rules_are_read_from_the_graph():
    assert graph_rules(graphed("8,12p,14|3v")) == []
    assert graph_rules(graphed("8,12p,14|l")) == []
    (bare,) = graph_rules(graphed("8n,12p,14|l"))
    assert bare.startswith("no BatchNorm after blocks.0.conv;")
    why = own(graph=None, why="Net.forward uses torch.fft")
    assert "only its own code computes it" in graph_rules(why)[0]
