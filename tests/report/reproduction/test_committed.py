"""results/reproduction and docs/reproduction: the report follows from the numbers."""

from types import ModuleType

import numpy as np
import pytest

from tests.support import ROOT
from under20k.recipe.limits import TARGET_ACCURACY
from under20k.recipe.named import RECIPES
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.reproduce import REPRODUCED

FOLDER = ROOT / "docs" / "reproduction"
PICTURE_BYTES = 40_000


@pytest.fixture(scope="module")
def benches(generator: ModuleType) -> list[Bench]:
    return generator.reproduced()


def test_the_recipes_are_the_named_ones(benches):
    assert [bench.recipe for bench in benches] == [RECIPES[recipe.name] for recipe in REPRODUCED]


def test_the_seeds_are_consecutive_from_0_and_every_epoch_is_there(benches):
    for bench in benches:
        assert [seed.seed for seed in bench.seeds] == list(range(10))
        for seed in bench.seeds:
            assert [epoch.epoch for epoch in seed.epochs] == list(range(1, bench.recipe.epochs + 1))


def test_one_state_of_the_code_trained_them_all(benches):
    """Earlier runs are reused; a report of two code versions would be of neither."""
    trained = {
        tuple(seed.environment[name] for name in ("git", "engine", "precision"))
        for bench in benches
        for seed in bench.seeds
    }
    assert len(trained) == 1


def test_accuracies_are_counts_over_the_images(benches):
    for epoch in (epoch for bench in benches for seed in bench.seeds for epoch in seed.epochs):
        for accuracy, images in ((epoch.train_accuracy, 50_000), (epoch.validation_accuracy, 10_000)):
            assert accuracy * images == pytest.approx(round(accuracy * images), abs=1e-6)


def test_statistics_by_numpy(benches):
    for bench in benches:
        last = np.array([seed.epochs[-1].validation_accuracy for seed in bench.seeds])
        assert bench.summary.last.mean == pytest.approx(last.mean(), abs=1e-12)
        assert bench.summary.last.sd == pytest.approx(last.std(ddof=1), abs=1e-12)
        assert bench.summary.reached_at_last == (last >= TARGET_ACCURACY).sum()


def test_the_report_follows_from_the_numbers(generator, benches):
    made = generator.reproduction_report(benches)
    assert made == (FOLDER / "report.md").read_text(encoding="utf-8")
    assert "minimal meets 9 of 10 requirements; missed: dropout." in made


def test_pictures_in_the_repository_are_small():
    pictures = [path for folder in ("docs", "records") for path in (ROOT / folder).rglob("*.png")]
    assert len(pictures) >= 10
    # A photograph and screenshots have tests of their own.
    pictures = [path for path in pictures if not path.name.startswith(("reading", "draw"))]
    assert {path.name: size for path in pictures if (size := path.stat().st_size) > PICTURE_BYTES} == {}
