"""The command as a process of its own, small trainings, and what a folder holds."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file

from tests.support.printed import ENCODING

COMMAND = [sys.executable, "-m", "under20k"]
TIMEOUT_S = 240  # of a machine whose cores are busy; the trainings take seconds

# A second an epoch, with what a resumed run must find again: momentum, averages, dropout by the epoch.
ARCHITECTURE = "1p,4pd0.1|l"
SETTINGS = [
    *("--architecture", ARCHITECTURE, "--batch-size", "1000", "--epochs", "2", "--step-epochs", "1"),
    *("--average-decay", "0.5", "--nesterov"),
]
FILES = {
    *("recipe.json", "environment.json", "metrics.jsonl", "checkpoint.safetensors", "model.safetensors"),
    *("curves.png", "curves-dark.png", "report.md", ".lock"),
}
TRAINED = FILES - {"curves.png", "curves-dark.png", "report.md"}
"""Files of a run without a report, as ``bench`` and ``reproduce`` leave it."""
TRAIN = ["train", "minimal", *SETTINGS, "--name", "small", "--threads", "1"]


def run(folder: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """``under20k`` with these arguments in ``folder``, to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        capture_output=True,
        encoding=ENCODING,
        timeout=TIMEOUT_S,
        **options,
    )


def start(folder: Path, *arguments: str, command: list[str] = COMMAND, **options) -> subprocess.Popen[str]:
    """The same, running: its stderr can be read line by line."""
    return subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding=ENCODING,
        start_new_session=True,
        **options,
    )


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines of its stderr up to the one that holds ``words``."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"it ended, exit code {process.wait()}, without {words!r}: {''.join(lines)}")


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    """Send it a signal; its exit code and the rest of stdout and stderr."""
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return met


def group(process: subprocess.Popen[str]) -> list[int]:
    """A process from ``start`` and all that it has started, as far as they run."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, of, state in rows if int(of) == process.pid and state[0] != "Z"]


def kill_group(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Signal a process and all that it has started, as a terminal does; nothing where all have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the locks, which are empty."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def same_weights(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights, to the bit."""
    first, second = (load_file(path / "model.safetensors") for path in (one, other))
    return first.keys() == second.keys() and all(
        first[name].shape == second[name].shape and first[name].tobytes() == second[name].tobytes()
        for name in first
    )


def assert_refused(code: int, out: str, err: str, *words: str) -> None:
    """One line on stderr that holds the words, nothing on stdout, exit code 2."""
    assert (code, out) == (2, ""), err
    assert err.startswith("under20k: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    for word in words:
        assert word in err
