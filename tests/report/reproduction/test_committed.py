"""docs/reproduction: the report in there follows from the numbers in there."""

import json

import numpy as np
import pytest

from tests.support import ROOT
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe
from under20k.report.reproduction.reproduce import REPRODUCED
from under20k.runs.bench.statistics import Summary

FOLDER = ROOT / "docs" / "reproduction"


@pytest.fixture(scope="module")
def results() -> dict:
    return json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


def test_the_recipes_are_the_named_ones(results):
    names = [recipe.name for recipe in REPRODUCED]
    assert list(results["recipes"]) == names
    for name, of_recipe in results["recipes"].items():
        assert Recipe.from_dict(of_recipe["recipe"]) == RECIPES[name]


def test_the_seeds_are_consecutive_from_0_and_every_epoch_is_there(results):
    for name, of_recipe in results["recipes"].items():
        assert [run["seed"] for run in of_recipe["runs"]] == list(range(10))
        for run in of_recipe["runs"]:
            assert [epoch["epoch"] for epoch in run["epochs"]] == list(range(1, RECIPES[name].epochs + 1))


def test_one_state_of_the_code_trained_them_all(results):
    """Runs that were there before are reused; a report of two codes would be of neither."""
    trained = {
        (environment["git"], environment["engine"], environment["precision"])
        for of_recipe in results["recipes"].values()
        for environment in (run["environment"] for run in of_recipe["runs"])
    }
    assert len(trained) == 1


def test_accuracies_are_counts_over_the_images(results):
    for of_recipe in results["recipes"].values():
        for run in of_recipe["runs"]:
            for epoch in run["epochs"]:
                for split, images in (("train", 50_000), ("validation", 10_000)):
                    count = epoch[f"{split}_accuracy"] * images
                    assert count == pytest.approx(round(count), abs=1e-6)


def test_statistics_by_numpy(results):
    for of_recipe in results["recipes"].values():
        histories = [[epoch["validation_accuracy"] for epoch in run["epochs"]] for run in of_recipe["runs"]]
        summary = Summary.of(histories)
        last = np.array(histories)[:, -1]
        assert summary.last.mean == pytest.approx(last.mean(), abs=1e-12)
        assert summary.last.sd == pytest.approx(last.std(ddof=1), abs=1e-12)
        assert summary.reached_at_last == (last >= TARGET_ACCURACY).sum()


def test_the_report_follows_from_the_numbers(generator, results):
    made = generator.reproduction_report(results)
    assert made == (FOLDER / "report.md").read_text(encoding="utf-8")
    assert "minimal meets 9 of 10 requirements; missed: dropout." in made
