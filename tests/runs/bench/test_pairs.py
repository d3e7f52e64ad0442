"""``under20k bench --vs``: two recipes trained over the same seeds, compared in pairs."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from under20k.cli.main import main
from under20k.data import Mnist
from under20k.files import write_text
from under20k.recipe.named import MINIMAL
from under20k.runs.bench.bench import Bench

pytestmark = pytest.mark.slow

TINY = replace(MINIMAL.with_changes(architecture="1p,4pd0.1|l", batch_size=1000, epochs=1), name="tiny")


def test_two_recipes_in_pairs(tmp_path, monkeypatch, capsys, mnist: Mnist):
    monkeypatch.chdir(tmp_path)
    other = replace(TINY.with_changes(learning_rate=0.001), name="slow")
    for recipe in (TINY, other):
        write_text(Path(f"{recipe.name}.json"), recipe.to_json())
    assert main(["bench", "tiny.json", "--seeds", "3-5", "--vs", "slow.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    ours, theirs = Bench.open(Path(shown["folder"])), Bench.open(Path(shown["versus"]["folder"]))
    assert (ours.recipe, theirs.recipe) == (TINY, other)
    by_hand = [a - b for a, b in zip(ours.last, theirs.last, strict=True)]
    difference = shown["versus"]["difference"]
    assert difference["n"] == 3
    assert difference["mean"] == pytest.approx(statistics.fmean(by_hand))
    assert difference["mean"] > 0  # a learning rate of 0.001 learns next to nothing in 50 steps
    assert difference["sd"] == pytest.approx(statistics.stdev(by_hand))
    assert difference["t_test_p"] == pytest.approx(stats.ttest_rel(ours.last, theirs.last).pvalue)


def test_a_recipe_whose_seeds_all_fail_leaves_the_other_its_bench(
    tmp_path, monkeypatch, capsys, mnist: Mnist
):
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "barred"):
        write_text(Path(f"{name}.json"), replace(TINY, name=name).to_json())
    Path("runs").mkdir()
    for seed in (0, 1):
        Path(f"runs/barred-{seed}").touch()
    assert main(["bench", "tiny.json", "--seeds", "0-1", "--vs", "barred.json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1].count("barred-0 is a file")) == ("", 1)
    assert "the other's bench is in benches/tiny-seeds-0-1" in err
    assert len(Bench.open(Path("benches/tiny-seeds-0-1")).seeds) == 2
