"""Names of recipes and of a user's own model in place of the folders of their benches and runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.benches import around, bench_of
from tests.support.own_files import own
from under20k import compare
from under20k.checking.training.load import own_recipe
from under20k.cli.main import main
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.runs.leaderboard import paired
from under20k.runs.named_folders import folders_named, is_name
from under20k.runs.run import Run

NET = own_recipe(own(arguments=()))


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with benches of minimal and of model.py:Net, and a damaged one."""
    monkeypatch.chdir(tmp_path)
    for recipe, mean in ((MINIMAL, 0.993), (NET, 0.994)):
        bench_of(around(mean), recipe).write(Path("benches") / f"{recipe.name}-seeds-0-19")
    Path("benches/damaged").mkdir()
    Path("benches/damaged/bench.json").write_text("{")
    return tmp_path / "benches"


def test_a_model_and_a_recipe_stand_for_their_benches(benches, capsys):
    entries = compare(["model.py:Net", "minimal"])
    assert [entry.path for entry in entries] == ["benches/Net-seeds-0-19", "benches/minimal-seeds-0-19"]
    assert main(["compare", "model.py:Net", "minimal", "--paired", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["rows"]] == ["Net", "minimal"]
    assert found["difference"]["mean"] == pytest.approx(0.001)


def test_a_folder_that_is_named_twice_is_listed_once(benches):
    entries = compare(["model.py:Net", "benches/minimal-seeds-0-19", "model.py:Net", "minimal"])
    assert [entry.path for entry in entries] == ["benches/Net-seeds-0-19", "benches/minimal-seeds-0-19"]
    again = compare(["minimal", benches / "minimal-seeds-0-19", "./benches/minimal-seeds-0-19"])
    assert [entry.path for entry in again] == ["benches/minimal-seeds-0-19"]


def test_all_benches_of_a_model_are_compared_but_not_paired(benches):
    more = replace(NET, name="Net+epochs=12", epochs=12)
    bench_of(around(0.995), more).write(benches / "more")
    assert [entry.epochs for entry in compare(["model.py:Net"])] == [12, NET.epochs]
    with pytest.raises(
        UserError, match=r"model.py:Net has 2: benches/Net-seeds-0-19, benches/more; name one"
    ):
        paired("model.py:Net", "minimal")


def test_without_a_bench_finished_runs_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = bench_of([0.99], MINIMAL)
    for name, finished in (("minimal-0", True), ("begun", False)):
        run = Run.create(Path("runs") / name, MINIMAL, 0, dict(bench.seeds[0].environment))
        if finished:
            (run.path / "model.safetensors").touch()
    assert folders_named("minimal") == [Path("runs/minimal-0")]


def test_a_folder_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_name("minimal")
    Path("minimal").mkdir()
    assert not is_name("minimal")
    assert not is_name("runs/minimal-0")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other.py:Net", "there is no bench of other.py:Net in ./benches, and no finished run in ./runs"),
        ("regularized", "make one: under20k bench regularized --seeds 0-9"),
        ("runs/none", "there is no folder runs/none"),
    ],
)
def test_what_is_not_there_is_one_line(benches, name, said, capsys):
    assert main(["compare", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
