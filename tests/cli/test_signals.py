"""Signals, however many and however close: all processes end, one word is said, the work goes on later."""

import contextlib
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import ROOT, command
from tests.support.command import ARCHITECTURE, COMMAND
from under20k.data import Mnist
from under20k.runs.run import Run

LONG = ["--architecture", ARCHITECTURE, "--batch-size", "1000", "--epochs", "1000"]
RECORD = ROOT / "records" / "reference" / "2026-11-26-minimal"
VERBS = {
    "train": ["train", "minimal", *LONG, "--threads", "1"],
    "bench": ["bench", "minimal", *LONG, "--seeds", "0-3", "--jobs", "2"],
    "reproduce": ["reproduce", "--jobs", "2"],
    "records": ["records", "verify", str(RECORD), "--rerun", "2", "--jobs", "2"],
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
PATIENCE_S = 30  # of a machine whose cores are busy; else it is two seconds at most

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@dataclass(frozen=True)
class Case:
    verb: str
    numbers: tuple[signal.Signals, ...]
    gap_s: float
    to: str
    """process, group, or terminal: Ctrl-C, typed."""
    begun: bool = True
    """When the trainings train; else as soon as there is a second process, or any."""

    def __str__(self) -> str:
        names = ",".join(number.name for number in self.numbers)
        when = "training" if self.begun else "starting"
        return f"{self.verb} {names} {self.gap_s:g} s apart to the {self.to}, {when}"


QUICK = [
    Case("bench", (INT, INT), 0.05, "terminal"),
    Case("bench", (TERM, INT, HUP), 0.02, "process"),
    Case("train", (HUP,), 0, "process"),
]
SLOW = [
    Case("bench", (INT, INT, INT), 0, "group"),
    Case("records", (INT, INT), 0.1, "process"),
    Case("bench", (INT, INT), 0.05, "group", begun=False),
]


def drawn(count: int) -> list[Case]:
    """The rest, by chance: always the same."""
    chance = random.Random(17)
    found = []
    for _ in range(count):
        to = chance.choice(["process", "group", "terminal"])
        numbers = [chance.choice([INT, INT, TERM, HUP]) for _ in range(chance.randint(1, 5))]
        if to == "terminal":
            numbers = [INT] * len(numbers)
        verb = chance.choice(["train", "bench", "bench", "reproduce", "records"])
        gap_s = chance.choice([0, 0.01, 0.05, 0.1, 0.3])
        found.append(Case(verb, tuple(numbers), gap_s, to, chance.random() < 0.7))
    return found


@dataclass
class Started:
    """The command in a session of its own, and what it says."""

    pid: int
    folder: Path
    terminal: int | None
    said: bytes = field(default=b"")

    def hear(self) -> None:
        """Read what the terminal shows; else it says no more."""
        while self.terminal is not None and select.select([self.terminal], [], [], 0)[0]:
            try:
                self.said += os.read(self.terminal, 65536)
            except OSError:  # the last process that had it open has ended
                return

    def text(self) -> str:
        if self.terminal is None:
            self.said = (self.folder / "said").read_bytes()
        return self.said.decode(errors="replace").replace("\r\n", "\n")

    def left(self) -> list[int]:
        """The processes of its session that run."""
        listed = subprocess.run(["ps", "-eo", "pid=,sid=,stat="], capture_output=True, text=True, check=True)
        rows = (line.split() for line in listed.stdout.splitlines())
        return [int(pid) for pid, session, state in rows if int(session) == self.pid and state[0] != "Z"]


def handles_signals(pid: int) -> bool:
    """Whether the command has begun; while Python itself starts, a signal ends it in Python's own way."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # of another system
        return True
    caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return caught is None or bool(int(caught[1], 16) >> (signal.SIGHUP - 1) & 1)


def start(folder: Path, arguments: list[str], terminal: bool) -> Started:
    if terminal:
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(folder)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execv(COMMAND[0], [*COMMAND, *arguments])
        return Started(pid, folder, master)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, stdout=said, stderr=said, start_new_session=True
        )
    process.returncode = 0  # we wait for it ourselves
    return Started(process.pid, folder, None)


def ended(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def tried(case: Case, folder: Path) -> None:
    started = start(folder, VERBS[case.verb], case.to == "terminal")
    code = None
    try:

        def ready() -> bool:
            started.hear()
            if not handles_signals(started.pid):
                return False
            workers = len(started.left()) - 2  # but for the command itself, and what Python keeps beside it
            if case.begun and case.verb != "records":  # whose runs lie elsewhere
                return len(list(folder.glob("runs/*/recipe.json"))) >= (1 if case.verb == "train" else 2)
            return workers >= (-1 if case.verb == "train" else 2 if case.begun else 0)

        assert command.wait_for(ready, command.TIMEOUT_S), started.text()
        time.sleep(0.3)
        for number in case.numbers:
            with contextlib.suppress(ProcessLookupError, OSError):
                if started.terminal is not None:
                    os.write(started.terminal, b"\x03")
                elif case.to == "group":
                    os.killpg(started.pid, number)
                else:
                    os.kill(started.pid, number)
            time.sleep(case.gap_s)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            started.hear()
            if code is None:
                code = ended(started.pid)
            if code is not None and not started.left():
                break
            time.sleep(0.02)
        started.hear()
        said = started.text()
        assert code is not None, said
        assert started.left() == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        if code is None:
            os.waitpid(started.pid, 0)
        if started.terminal is not None:
            os.close(started.terminal)
    # Of several at once, which the system hands over first is its own affair.
    (first,) = [number for number, of in CODES.items() if of == code]
    assert first in case.numbers, (code, said)
    assert "Traceback" not in said, said
    assert [said.count(f"{word}; ") for word in WORDS.values()].count(0) == 2, said
    assert len(re.findall(rf"^(?:\^C)*{WORDS[first]}; run the command again.*$", said, re.M)) == 1, said
    assert "stopped" not in said
    for path in folder.glob("runs/*"):
        if (path / "environment.json").is_file():
            Run.open(path).checkpoint()  # whole, or none yet


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_signals_end_the_command(case, tmp_path, mnist: Mnist):
    tried(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SLOW, *drawn(60)], ids=str)
def test_any_signals_end_the_command(case, tmp_path, mnist: Mnist):
    tried(case, tmp_path)


@pytest.mark.slow
def test_a_bench_interrupted_twice_resumes(tmp_path, mnist: Mnist):
    """Its seeds are as if nothing had happened."""
    arguments = ["bench", "minimal", *LONG[:-1], "2", "--seeds", "0-1", "--jobs", "2", "--json"]
    whole = command.run(tmp_path, *arguments, "--runs-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    tried(Case("bench", (INT, INT), 0.05, "group"), tmp_path)
    done = command.run(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "whole").iterdir():
        assert command.same_weights(path, tmp_path / "runs" / path.name)


# Code in C, which no exception enters, and code that catches each: only the thread beside can end these.
STUCK = """
import hashlib, sys, time
import under20k.cli.recipes
from under20k.cli.main import main
def stuck(arguments):
    print("stuck", file=sys.stderr, flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
def held(arguments):
    print("stuck", file=sys.stderr, flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
under20k.cli.recipes.run = stuck if sys.argv.pop() == "stuck" else held
sys.exit(main())
"""


@pytest.mark.parametrize("how", ["stuck", "held"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_code_that_hears_no_signal_is_ended_all_the_same(tmp_path, how, number):
    process = command.start(tmp_path, "recipes", how, command=[sys.executable, "-c", STUCK])
    command.read_until(process, "stuck")
    code, out, err = command.end(process, number)
    assert (code, out) == (CODES[number], "")
    assert err.splitlines()[-1] == f"{WORDS[number]}; run the command again"
    assert err.count(WORDS[number]) == 1


def test_what_is_ignored_stays_ignored(tmp_path, mnist: Mnist):
    """As with ``nohup``."""
    process = command.start(
        tmp_path,
        *command.TRAIN,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    command.read_until(process, "1 thread")
    code, _, err = command.end(process, signal.SIGHUP)
    assert code == 0, err


@pytest.mark.parametrize("full", [True, False], ids=["full", "closed"])
def test_a_stderr_that_fails_ends_no_training(tmp_path, mnist: Mnist, full):
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") if full else os.fdopen(writing, "wb") as stderr:
        done = subprocess.run(
            [*COMMAND, *command.TRAIN], cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr, timeout=240
        )
    assert done.returncode == 0
    assert b"validation accuracy, last epoch" in done.stdout
    assert Run.open(tmp_path / "runs" / "small").finished
