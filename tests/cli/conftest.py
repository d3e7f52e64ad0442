"""The command as a process, and a small run that it has finished."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import command
from under20k.data import Mnist
from under20k.runs.run import Run


@pytest.fixture
def under20k(tmp_path: Path, mnist: Mnist) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command in a process of its own, in the test's folder, to its end."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return command.run(tmp_path, *arguments, **options)

    return run


@dataclass(frozen=True)
class Finished:
    """A run that ``under20k train`` has finished, not to be changed, and what it printed."""

    path: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Finished:
    """``under20k`` with ``command.TRAIN``, never interrupted."""
    folder = tmp_path_factory.mktemp("finished")
    done = command.run(folder, *command.TRAIN)
    assert done.returncode == 0, done.stderr
    return Finished(folder / "runs" / "small", done)


@pytest.fixture
def small(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished run, at runs/small below the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished.path, tmp_path / "runs" / "small"))


@pytest.fixture
def unfinished(small: Path) -> Path:
    """A run of three epochs at runs/small that has done two, as a kill in the third leaves it."""
    run = Run.open(small)
    checkpoint = run.checkpoint()
    assert checkpoint is not None
    state, metrics = checkpoint
    threads = {"threads": run.environment["threads"], "command": "under20k train"}
    run = Run.create(small, run.recipe.with_changes(epochs=3), run.seed, threads, overwrite=True)
    run.save_epoch(state, metrics)
    return small
