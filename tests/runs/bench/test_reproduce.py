"""``reproduce`` as a function: one scheduler for all recipes, a bench for each."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import under20k.runs.bench.reproduce
from tests.support.benches import SMALL, bench_of, on_disk
from under20k.errors import UserError
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.reproduce import reproduce
from under20k.runs.parallel.scheduler import Failure, Outcome
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.run import Run

SHORT, LONG = replace(SMALL, name="short"), replace(SMALL.with_changes(epochs=4), name="long")
LAST = [0.9941, 0.9938, 0.9945]


class Scheduler:
    """Stands in for ``train_all``: finds every run finished, or, if it ``fails``, the first one failed."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.tasks: Sequence[Task] = ()
        self.differing = ""

    def __call__(self, tasks: Sequence[Task], *, differing: str, **_: object) -> Outcome:
        self.tasks, self.differing = tasks, differing
        runs = {task.path: Run.open(task.path) for task in tasks[self.fails :]}
        return Outcome(runs, [Failure(tasks[0], "out of memory")] if self.fails else [])


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Where the runs of three seeds of either recipe are; MNIST is not needed."""
    for recipe in (SHORT, LONG):
        on_disk(tmp_path, bench_of(LAST, recipe))
    monkeypatch.setattr(under20k.runs.bench.reproduce, "load", lambda *_, **__: None)
    return Places(tmp_path / "runs", tmp_path / "made")


def scheduled(monkeypatch: pytest.MonkeyPatch, scheduler: Scheduler) -> Scheduler:
    monkeypatch.setattr(under20k.runs.bench.reproduce, "train_all", scheduler)
    return scheduler


def test_a_recipe_that_is_among_them_is_to_be_left_out():
    with pytest.raises(UserError, match=r"^minimal is one of the recipes that are trained anyway; leave it"):
        reproduce(model="minimal")
    with pytest.raises(UserError, match=r"both recipes are called minimal; .* give the one in a file"):
        reproduce(model=replace(SMALL, name="minimal"))


def test_one_scheduler_gets_every_seed_the_longest_first(places, monkeypatch):
    scheduler = scheduled(monkeypatch, Scheduler())
    reproduce(range(3), recipes=[SHORT, LONG], places=places)
    assert [task.path.name for task in scheduler.tasks] == [
        *(f"long-{seed}" for seed in range(3)),
        *(f"short-{seed}" for seed in range(3)),
    ]


def test_a_bench_per_recipe_in_their_order(places, monkeypatch):
    scheduled(monkeypatch, Scheduler())
    benches = reproduce(range(3), recipes=[SHORT, LONG], places=places)
    assert [bench.recipe for bench in benches] == [SHORT, LONG]
    for bench in benches:
        assert bench.last == LAST
        folder = places.benches / f"{bench.recipe.name}-seeds-0-2"
        assert Bench.open(folder) == bench
        assert {path.name for path in folder.iterdir()} == {"bench.json"}
        run = Run.open((folder / bench.seeds[1].run).resolve())
        assert (run.recipe, run.seed) == (bench.recipe, 1)


@pytest.mark.parametrize(
    ("options", "differing"),
    [({}, "reuse"), ({"existing": "resume"}, "refuse"), ({"existing": "replace"}, "replace")],
)
def test_runs_of_other_code_are_reused_unless_asked_otherwise(places, monkeypatch, options, differing):
    scheduler = scheduled(monkeypatch, Scheduler())
    reproduce((0,), recipes=[SHORT], places=places, **options)
    assert scheduler.differing == differing


def test_a_failure_leaves_no_bench(places, monkeypatch):
    scheduled(monkeypatch, Scheduler(fails=True))
    with pytest.raises(UserError, match="out of memory"):
        reproduce(range(3), recipes=[SHORT, LONG], places=places)
    assert not places.benches.exists()


def test_readings_of_the_test_set_are_counted(places, monkeypatch):
    scheduled(monkeypatch, Scheduler())
    run = Run.open(places.runs / "short-1")
    for _ in range(2):
        run.add_test_reading({"read": "2026-01-02T00:00:00+00:00", "correct": 9_900, "images": 10_000})
    (bench,) = reproduce(range(3), recipes=[SHORT], places=places)
    assert [seed.test_readings for seed in bench.seeds] == [0, 2, 0]


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (10, "seeds: 10; expected a sequence of seeds, such as range(10)"),
        (range(0), "seeds: 0 of them; expected 1 to 1,000"),
        (range(1001), "seeds: 1,001 of them; expected 1 to 1,000"),
        ([1, 1], "seeds: 1 is given twice"),
    ],
)
def test_seeds_that_make_no_sense(places, seeds, words):
    with pytest.raises(UserError, match=re.escape(words)):
        reproduce(seeds, places=places)
