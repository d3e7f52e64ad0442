"""Events: what a training says, in which order, and that every one of them survives a pipe."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from under20k.data import Mnist
from under20k.data.events import Downloaded, FetchWarning, SourceDone, SourceTried
from under20k.engine.base import Compute
from under20k.recipe.named import MINIMAL
from under20k.runs.events import (
    EpochDone,
    Event,
    Failed,
    Finished,
    Note,
    Scheduled,
    Started,
    Step,
)
from under20k.runs.metrics import EpochMetrics
from under20k.runs.parallel.task import sparing
from under20k.runs.places import Places
from under20k.runs.train import train

RUN = Path("runs") / "minimal-0"
EPOCH = EpochMetrics(1, 0.1, 0.5, 0.9, 0.4, 0.95, 2.0, 2.5, 25_000.0)
EVENTS = [
    Scheduled({RUN: MINIMAL}, Compute(), "2 at a time"),
    Started(RUN, MINIMAL, 0, {"engine": "native", "resumed": [{"engine": "native"}]}, (EPOCH,)),
    Step(RUN, 128),
    EpochDone(RUN, EPOCH, teacher=2),
    Finished(RUN, MINIMAL, 0.99, 20.0, reused=True, differing="precision bf16, now fp32"),
    Failed(RUN, "worker process died", retry=True),
    Note("worker tcp://127.0.0.1:1 joins"),
    SourceTried("mirror"),
    Downloaded("train-images-idx3-ubyte", 1, 2),
    SourceDone("done"),
    FetchWarning("damaged"),
]
TINY = {"architecture": "4p,6p|l", "epochs": 2, "batch_size": 1000}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_are_picklable_and_frozen(event):
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301
    with pytest.raises(AttributeError):
        setattr(event, next(iter(vars(event))), None)


def test_every_kind_of_event_is_tried():
    assert {type(event) for event in EVENTS} == set(get_args(Event))


def test_a_training_sends_its_events_in_order(tmp_path, mnist: Mnist):
    events: list[Event] = []
    options = {"places": Places(tmp_path), "compute": Compute(threads=1), "on_event": events.append}
    run = train("minimal", name="run", **options, **TINY)
    kinds = [type(event) for event in events if not isinstance(event, Step)]
    assert kinds == [Started, EpochDone, EpochDone, Finished]
    assert {event.run for event in events} == {run.path}
    metrics = run.metrics()
    assert [event.metrics for event in events if isinstance(event, EpochDone)] == metrics
    steps = [event.images for event in events if isinstance(event, Step)]
    assert steps[-1] == 50_000
    assert sum(later <= earlier for earlier, later in pairwise(steps)) == 1  # where the second epoch begins
    started, finished = events[0], events[-1]
    assert (started.recipe, started.seed, started.history) == (run.recipe, 0, ())
    assert started.environment == run.environment
    assert finished.validation_accuracy == metrics[-1].validation_accuracy
    assert finished.time_s == pytest.approx(sum(epoch.total_time_s for epoch in metrics))

    events.clear()
    train("minimal", name="run", existing="resume", **options, **TINY)
    assert [(type(event), event.reused) for event in events] == [(Finished, True)]


def test_a_teachers_events_are_those_of_its_student(tmp_path, mnist: Mnist):
    events: list[Event] = []
    teacher = MINIMAL.with_changes(**TINY | {"epochs": 1})
    options = {"places": Places(tmp_path), "compute": Compute(threads=1), "on_event": events.append}
    run = train("minimal", teacher=teacher, teachers=2, **options, **TINY | {"epochs": 1})
    assert {event.run for event in events} == {run.path}
    said = [(type(event), event.teacher) for event in events if not isinstance(event, Step)]
    assert said == [(kind, number) for number in (1, 2, 0) for kind in (Started, EpochDone, Finished)]
    folders = [event.folder for event in events if isinstance(event, Started)]
    assert [folder and folder.parent for folder in folders] == [run.path / "teachers"] * 2 + [None]


def test_a_worker_reports_few_steps_and_leaves_its_end_to_the_scheduler(monkeypatch):
    now = [100]
    monkeypatch.setattr("under20k.runs.parallel.task.STEP_S", 4)
    monkeypatch.setattr("under20k.runs.parallel.task.monotonic", lambda: now[0])
    events: list[Event] = []
    report = sparing(events.append)
    for number in range(10):
        report(Step(RUN, number))
        now[0] += 1
    assert [event.images for event in events] == [0, 4, 8]
    teacher_done, done = (Finished(RUN, MINIMAL, 0.99, 20.0, teacher=number) for number in (1, 0))
    events.clear()
    for event in (EVENTS[1], EVENTS[3], teacher_done, done, FetchWarning("damaged")):
        report(event)
    assert events == [EVENTS[1], EVENTS[3], teacher_done]
