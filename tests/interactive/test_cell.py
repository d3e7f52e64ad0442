"""What a cell shows of a call, event by event; in place of the kernel's output, a list."""

from dataclasses import replace
from pathlib import Path

import pytest

from under20k.data.events import Downloaded, FetchWarning, SourceDone, SourceTried
from under20k.engine.base import Compute
from under20k.interactive import cell as cell_module
from under20k.interactive.bench_view import BenchView
from under20k.interactive.cell import Cell
from under20k.interactive.download_view import DownloadView
from under20k.interactive.training_view import TrainingView
from under20k.interactive.view import Clock
from under20k.recipe.limits import TRAIN_IMAGES
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.events import EpochDone, Failed, Finished, Note, Scheduled, Started, Step
from under20k.runs.metrics import EpochMetrics

ONE, TWO = Path("runs/minimal-0"), Path("runs/minimal-1")
SESSION = {"engine": "torch", "precision": "fp32", "device": "cpu", "threads": 1}
AGAIN = "run the cell again to continue"


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(number, 0.1, 0.5, 0.9, 0.4, 0.95, 2.0, 2.5, 25_000.0)


class Page:
    """Keeps what is shown, every event at once."""

    due = True

    def __init__(self) -> None:
        self.html: list[str] = []
        self.text: list[str] = []

    def show(self, html: str, text: str) -> None:
        self.html.append(html)
        self.text.append(text)


@pytest.fixture
def page(monkeypatch) -> Page:
    page = Page()
    monkeypatch.setattr(cell_module, "Output", lambda: page)
    return page


def test_a_training_is_a_bar_then_its_verdict(page):
    with Cell(TrainingView(), AGAIN) as cell:
        cell(Started(ONE, MINIMAL, 0, SESSION))
        cell(Step(ONE, 25_000))
        cell(EpochDone(ONE, epoch(1)))
        cell(Finished(ONE, MINIMAL, 0.9941, 12.0))
        cell.show_result(None)
    assert page.text == [
        "minimal, seed 0; epoch 1 of 8 · 0%",
        "minimal, seed 0; epoch 1 of 8 · 6%",
        "minimal, seed 0; epoch 2 of 8 · 12%",
        "minimal, seed 0; epoch 2 of 8 · 12%",
        "minimal, seed 0 ✓ 99.41% validation accuracy at the last of 8 epochs, "
        "at or above the target of 99.40%",
    ]
    assert "width:6.2%" in page.html[1]
    assert "progressbar" not in page.html[-1]
    assert "<details" in page.html[-1]


def test_a_resumed_training_says_where_it_goes_on(page):
    with Cell(TrainingView(), AGAIN) as cell:
        cell(Started(ONE, MINIMAL, 0, SESSION, (epoch(1), epoch(2))))
    assert page.text == ["minimal, seed 0; epoch 3 of 8 · 25%"]
    assert "resumed after epoch 2" in page.html[0]


def test_a_teacher_trains_first(page):
    student = MINIMAL.with_changes(teacher=REGULARIZED, teachers=1)
    with Cell(TrainingView(), AGAIN) as cell:
        cell(Started(ONE, REGULARIZED, 10**9, SESSION, teacher=1))
        cell(Finished(ONE, REGULARIZED, 0.99, 1.0, teacher=1))
        cell(Started(ONE, student, 0, SESSION))
    assert page.text[0].startswith("teacher 1: regularized, seed 1000000000; epoch 1 of 12")
    assert page.text[-1].endswith("teacher 1: validation 99.00%")


def test_an_interrupt_says_how_to_go_on(page):
    def interrupted(view, *events) -> str:
        with Cell(view, AGAIN) as cell:
            for event in events:
                cell(event)
            cell.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        return page.text[-1]

    started = Started(ONE, MINIMAL, 0, SESSION)
    hint = AGAIN
    assert interrupted(TrainingView(), Started(ONE, MINIMAL, 0, SESSION)).endswith(
        f"interrupted in epoch 1 of 8; {hint}"
    )
    text = interrupted(TrainingView(), started, EpochDone(ONE, epoch(1)))
    assert text == f"minimal, seed 0; interrupted after epoch 1 of 8; {hint}"
    assert interrupted(TrainingView()) == f"under20k; interrupted before the first epoch; {hint}"
    scheduled = Scheduled({ONE: MINIMAL, TWO: MINIMAL}, Compute("torch"), "2 at a time")
    done = Finished(ONE, MINIMAL, 0.99, 1.0)
    assert f"interrupted after 1 of 2 trainings; {hint}" in interrupted(BenchView(), scheduled, done)


def test_many_trainings_are_a_bar_and_the_mean_so_far(page):
    three = Path("runs/minimal-2")
    with Cell(BenchView(), AGAIN) as cell:
        cell(Finished(three, MINIMAL, 0.992, 1.0, reused=True))
        cell(Scheduled({ONE: MINIMAL, TWO: MINIMAL}, Compute("torch"), "2 at a time"))
        cell(Started(ONE, MINIMAL, 0, SESSION))
        cell(Started(TWO, MINIMAL, 1, SESSION))
        cell(EpochDone(TWO, epoch(1)))
        cell(Step(TWO, 25_000))
        assert page.text[-1].startswith("Training; 1 of 3 trainings · 40%")
        assert "seed 0: epoch 1 of 8; seed 1: epoch 2 of 8 (95.00%)" in page.html[-1]
        cell(Finished(ONE, MINIMAL, 0.994, 1.0))
        assert "99.300 ± 0.141 %" in page.html[-1]
        cell(Failed(TWO, "out of memory"))
        cell.show_result(None)
    assert page.text[-1] == "Finished 2 of 3 trainings; ✗ minimal-1: out of memory"
    assert "Training now" not in page.html[-1]


def test_a_download_has_a_bar_of_its_own_and_nothing_else_is_shown(page):
    with Cell(DownloadView(), AGAIN) as cell:
        cell.show_result(None)
    assert page.html == []
    with Cell(DownloadView(), AGAIN) as cell:
        cell(SourceTried("https://mirror"))
        cell(Downloaded("train-images", 5_000_000, 10_000_000))
        cell(SourceDone("all files"))
        cell(FetchWarning("the cache <folder> is full"))
    assert page.text[1] == "MNIST from https://mirror; train-images, 5.0 of 10.0 MB"
    assert "width:50.0%" in page.html[1]
    assert page.text[-1] == "under20k; MNIST from https://mirror: all files; ! the cache <folder> is full"
    assert "the cache &lt;folder&gt; is full" in page.html[-1]


def test_remarks_stay_the_last_ones(page):
    with Cell(TrainingView(), AGAIN) as cell:
        cell(Started(ONE, MINIMAL, 0, SESSION))
        for number in range(9):
            cell(Note(f"note {number}"))
    assert page.text[-1].endswith("note 4; note 5; note 6; note 7; note 8")


def test_the_time_left_follows_the_pace():
    clock = Clock(done=100)
    assert clock.left_text(100, 1000) == ""
    for passed_s, text in ((10, "90 s left"), (60, "9 min left"), (3600, "9.0 h left")):
        assert replace(clock, began_s=clock.began_s - passed_s).left_text(190, 1000) == text


def test_a_retry_still_tells_the_time_left(page):
    """What this very call has trained counts for its pace, also after the training had to start again."""
    view = BenchView()
    view.take(Scheduled({ONE: MINIMAL}, Compute("torch"), "1 at a time"))
    view.take(Started(ONE, MINIMAL, 0, SESSION, (epoch(1),)))
    assert view.clock.done == TRAIN_IMAGES
    for number in (2, 3, 4):
        view.take(EpochDone(ONE, epoch(number)))
    view.take(Started(ONE, MINIMAL, 0, SESSION, (epoch(1), epoch(2), epoch(3), epoch(4))))
    assert view.clock.done == TRAIN_IMAGES
    view.clock.began_s -= 30
    assert view.clock.left_text(4 * TRAIN_IMAGES, 8 * TRAIN_IMAGES) == "40 s left"
