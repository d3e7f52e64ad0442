"""Trainings ended in every way go on to the bits of one that was not."""

import dataclasses
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import command
from tests.support.command import FILES, TRAIN, same_weights
from under20k.engine.select import choose
from under20k.runs.run import Run


def assert_as_never_interrupted(path: Path, reference: Path) -> None:
    """The same weights and figures, the times apart; every file there, and nothing else."""
    assert same_weights(path, reference)

    def figures(of: Path) -> list[dict[str, float]]:
        rows = [dataclasses.asdict(epoch) for epoch in Run.open(of).metrics()]
        times = ("train_time_s", "total_time_s", "images_per_s")
        return [{name: value for name, value in row.items() if name not in times} for row in rows]

    assert figures(path) == figures(reference)
    assert len(figures(path)) == 2
    assert {file.name for file in path.iterdir()} == FILES


@pytest.mark.parametrize(
    ("number", "code", "word", "after"),
    [
        (signal.SIGINT, 130, "interrupted", "epoch 1/2"),
        (signal.SIGTERM, 143, "terminated", "epoch 1/2"),
        (signal.SIGINT, 130, "interrupted", "1 thread"),
    ],
)
def test_a_signal_leaves_a_run_that_can_be_resumed(under20k, finished, tmp_path, number, code, word, after):
    process = command.start(tmp_path, *TRAIN)
    command.read_until(process, after)
    ended = command.end(process, number)
    hint = "run the command again to continue after the last finished epoch"
    assert ended == (code, "", f"{word}; {hint}\n")
    path = tmp_path / "runs" / "small"
    assert not (path / "model.safetensors").exists()
    assert (path / "checkpoint.safetensors").exists() == (after == "epoch 1/2")
    assert not list(path.glob(".*-*"))
    done = under20k(*TRAIN)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    if after != "epoch 1/2":  # nothing was trained: the engine is chosen anew
        assert lines.pop(0) == f"{choose().engine} engine: {choose().reason}"
    head, *epochs = lines
    assert head.endswith("; resuming after epoch 1") == (after == "epoch 1/2")
    assert len(epochs) == (1 if after == "epoch 1/2" else 2)
    assert_as_never_interrupted(path, finished.path)


@pytest.mark.slow
def test_kills_at_any_moment(under20k, finished, tmp_path):
    path = tmp_path / "runs" / "small"
    moments = random.Random(20_000)
    # Several kills on the same run: while it starts, in the first epoch, after an epoch, as it ends.
    for line, longest_s in ((None, 2), (" engine, ", 2), (None, 5), ("epoch ", 0.2), ("epoch ", 4)):
        process = command.start(tmp_path, *TRAIN)
        assert process.stderr is not None
        if line:
            any(line in shown for shown in process.stderr)  # or it has ended
        try:
            process.wait(timeout=moments.uniform(0, longest_s))
        except subprocess.TimeoutExpired:
            command.kill_group(process)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    done = under20k(*TRAIN, "--resume")
    assert done.returncode == 0, done.stderr
    assert_as_never_interrupted(path, finished.path)


KILLED = """
import os, pathlib, signal, sys
from under20k.cli.main import main
name, when = sys.argv[1:3]
replace = pathlib.Path.replace
def replace_or_die(self, target):
    dies = pathlib.Path(target).name == name
    if not (dies and when == "before"):
        replace(self, target)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.replace = replace_or_die
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.slow
def test_kills_between_the_files(under20k, finished, tmp_path):
    path = tmp_path / "runs" / "small"
    epochs_done = []
    for name, when in (
        ("recipe.json", "before"),
        ("recipe.json", "after"),
        ("environment.json", "before"),
        ("checkpoint.safetensors", "before"),
        ("checkpoint.safetensors", "after"),
        ("environment.json", "before"),
        ("metrics.jsonl", "before"),
        ("model.safetensors", "before"),
        ("model.safetensors", "after"),
        ("curves.png", "before"),
        ("curves.png", "after"),
    ):
        process = command.start(tmp_path, *TRAIN, command=[sys.executable, "-c", KILLED, name, when])
        _, err = process.communicate(timeout=command.TIMEOUT_S)
        assert process.returncode == -signal.SIGKILL, err
        assert bool(list(path.glob(".*-*"))) == (when == "before")  # what it was about to put in place
        checkpoint = Run.open(path).checkpoint() if (path / "environment.json").exists() else None
        epochs_done.append(len(checkpoint[1]) if checkpoint else 0)
    assert epochs_done == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    done = under20k(*TRAIN, "--resume")
    assert (done.returncode, done.stderr) == (0, "runs/small already finished, reused\n")
    assert_as_never_interrupted(path, finished.path)
