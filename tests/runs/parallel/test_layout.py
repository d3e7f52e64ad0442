"""How trainings share the cores: what is decided by which measurement, what is remembered, what is said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from under20k.engine import machine
from under20k.engine.base import Compute
from under20k.engine.select import choose
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.parallel import layout
from under20k.runs.parallel.layout import Speeds, local_layout, makespan
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.train import train

needs_native = pytest.mark.skipif(choose().engine != "native", reason="the native engine is not built here")
GIB = 2**30


class Measured:
    """A measurement by fiat, which counts how often it is asked for."""

    def __init__(self, one_s: float, several_s: float, reliable: bool = True) -> None:
        self.speeds = Speeds(one_s, several_s, reliable)
        self.asked: list[tuple] = []

    def __call__(self, recipe, compute, jobs, cores, budget_s) -> Speeds:
        self.asked.append((recipe, jobs, cores))
        self.budget_s = budget_s
        return self.speeds


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; returns the file of answers. The machine has 4 cores."""
    monkeypatch.setattr(layout, "cache_folder", lambda: tmp_path / "cache" / "mnist")
    monkeypatch.setattr(machine, "cores", lambda: machine.Available(4))
    monkeypatch.setattr(machine, "memory", lambda: machine.Available(64 * GIB))
    return tmp_path / "cache" / "layouts.json"


def tasks(count: int, recipe=MINIMAL) -> list[Task]:
    return [Task(recipe, seed) for seed in range(count)]


@needs_native
def test_the_faster_layout_is_chosen_and_printed(cache):
    # Eight trainings: 8 × 1.0 s one by one, two rounds of 4.8 s four by four.
    one = local_layout(tasks(8), Compute(), None, Measured(1.0, 4.8))
    assert (one.jobs, one.threads) == (1, 4)
    assert one.where == "1 at a time on 4 threads, measured 1.20 times as fast as 4 at a time"
    cache.unlink()
    several = local_layout(tasks(8), Compute(), None, Measured(1.0, 2.0))
    assert (several.jobs, several.threads) == (4, 1)
    assert several.where == "4 at a time, measured 2.00 times as fast as 1 at a time on 4 threads"


@needs_native
def test_the_number_of_trainings_decides_too(cache):
    """Four at once are faster, but of five the last would have three idle cores beside it."""
    measured = Measured(1.0, 3.0)
    assert local_layout(tasks(4), Compute(), None, measured).jobs == 4
    assert local_layout(tasks(5), Compute(), None, measured).jobs == 1
    assert len(measured.asked) == 1


@needs_native
def test_fewer_trainings_than_cores_share_them(cache):
    found = local_layout(tasks(2), Compute(), None, Measured(1.0, 1.5))
    assert (found.jobs, found.threads) == (2, 2)
    measured = Measured(1.0, 1.0)
    alone = local_layout(tasks(1), Compute(), None, measured)
    assert (alone.jobs, alone.threads, measured.asked) == (1, 4, [])


@pytest.mark.parametrize(
    ("compute", "jobs", "expected"),
    [
        (Compute("torch"), None, (4, 1)),
        (Compute("torch"), 2, (2, 1)),
        (Compute(threads=2), None, (2, 2)),
        (Compute(threads=3), 2, (2, 3)),
        pytest.param(Compute("native"), 2, (2, 2), marks=needs_native),
        pytest.param(Compute("native"), 3, (3, 1), marks=needs_native),
        pytest.param(Compute("native"), 99, (8, 1), marks=needs_native),
    ],
)
def test_what_is_given_is_kept_without_a_measurement(cache, compute, jobs, expected):
    measured = Measured(1.0, 1.0)
    found = local_layout(tasks(8), compute, jobs, measured)
    assert (found.jobs, found.threads) == expected
    assert measured.asked == []
    assert not cache.exists()


@needs_native
def test_memory_for_one_at_a_time_needs_no_measurement(cache, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: machine.Available(300 * 2**20))
    measured = Measured(1.0, 1.0)
    found = local_layout(tasks(8), Compute(), None, measured)
    assert (found.jobs, found.threads, measured.asked) == (1, 4, [])


@needs_native
def test_answers_are_remembered_by_what_they_depend_on(cache):
    measured = Measured(1.0, 2.0)
    for _ in range(3):
        local_layout(tasks(8), Compute(), None, measured)
    assert len(measured.asked) == 1
    longer = replace(MINIMAL, epochs=3, label_smoothing=0.1)
    local_layout(tasks(8, longer), Compute(), None, measured)
    assert len(measured.asked) == 1  # the speed of the same network
    for others in (tasks(8, REGULARIZED), tasks(8, MINIMAL.with_changes(batch_size=64)), tasks(3)):
        local_layout(others, Compute(), None, measured)
    assert len(measured.asked) == 4


@needs_native
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"format": 1}', b'{"format": 9, "seconds": {}}', None]
)
def test_a_damaged_file_is_replaced(cache, content):
    measured = Measured(1.0, 2.0)
    local_layout(tasks(8), Compute(), None, measured)
    whole = json.loads(cache.read_text())
    if content is None:  # figures that no clock gives
        (key,) = whole["seconds"]
        content = json.dumps({**whole, "seconds": {key: [0.0, "x"]}}).encode()
    cache.write_bytes(content)
    local_layout(tasks(8), Compute(), None, measured)
    assert len(measured.asked) == 2
    assert json.loads(cache.read_text()) == whole


@needs_native
def test_a_busy_machines_answer_is_used_and_forgotten(cache):
    measured = Measured(1.0, 5.0, reliable=False)
    for _ in range(2):
        assert local_layout(tasks(8), Compute(), None, measured).jobs == 1
    assert len(measured.asked) == 2
    assert not cache.exists()


@needs_native
def test_without_a_home_folder_it_is_measured_every_time(cache, monkeypatch):
    def none() -> Path:
        raise UserError("this user has no home folder")

    monkeypatch.setattr(layout, "cache_folder", none)
    measured = Measured(1.0, 2.0)
    for _ in range(2):
        local_layout(tasks(8), Compute(), None, measured)
    assert len(measured.asked) == 2


@needs_native
def test_the_heaviest_recipe_is_measured(cache):
    measured = Measured(1.0, 2.0)
    work = {recipe: layout.macs(recipe) for recipe in (MINIMAL, REGULARIZED)}
    local_layout([*tasks(4), *tasks(4, REGULARIZED)], Compute(), None, measured)
    assert measured.asked == [(max(work, key=work.__getitem__), 4, 4)]


@pytest.mark.parametrize(
    ("amounts", "jobs", "expected"),
    [([1, 1, 1, 1], 2, 2), ([1, 1, 1], 2, 2), ([3, 1, 1, 1], 2, 3), ([1], 4, 1), ([1, 1, 4], 2, 5)],
)
def test_the_time_of_the_last_worker(amounts, jobs, expected):
    assert makespan(amounts, jobs) == expected


@needs_native
def test_short_trainings_get_a_short_measurement(cache):
    measured = Measured(1.0, 2.0)
    local_layout(tasks(100), Compute(), None, measured)
    assert measured.budget_s == layout.BUDGET_S
    local_layout(tasks(2, MINIMAL.with_changes(architecture="4p,6p|l", epochs=1)), Compute(), None, measured)
    assert measured.budget_s < 0.1


@needs_native
def test_a_real_measurement():
    small = MINIMAL.with_changes(architecture="4p,6p|l")
    speeds = layout.measure(small, Compute(), 2, 2, budget_s=0.1)
    assert 0 < speeds.one_s < 60
    assert 0 < speeds.several_s < 60
    assert not speeds.reliable


@needs_native
def test_the_layout_changes_no_bits(tmp_path, mnist):
    """One training alone on two threads, and two beside each other on one."""
    options = {"architecture": "4p,6p|l", "epochs": 1, "batch_size": 1000}
    one, other = (
        train(
            "minimal", 3, places=Places(tmp_path / str(threads)), compute=Compute(threads=threads), **options
        )
        for threads in (1, min(2, machine.cores().amount))
    )
    for name, value in one.weights().items():
        assert np.array_equal(value.view(np.uint32), other.weights()[name].view(np.uint32))
