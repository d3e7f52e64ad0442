"""Time a training in turns with a reference, A B A B, as whole processes on two cores.

The clock runs from the start of a process to its trained model on disk, so it includes imports, reading the
data, training, evaluating and writing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from under20k.engine import machine
from under20k.errors import InvalidValue, UserError
from under20k.files import write_text
from under20k.recipe.recipe import Recipe
from under20k.runs.events import Note, OnEvent, ignore
from under20k.runs.own_start import OwnStart
from under20k.runs.plausible import is_count, is_figure
from under20k.runs.provenance import processor

CORES = 2
TURNS = 3
RUN = "run"
"""Name of the run folder of a timed training."""
POLL_S = 0.005  # interval at which the model file is looked for


@dataclass(frozen=True)
class Timing:
    """Seconds from the start of a process to its model on disk, one value a turn."""

    reference: str
    """Recipe, engine and precision of the reference, as ``reference_text`` words them."""
    subject_s: tuple[float, ...]
    reference_s: tuple[float, ...]
    cores: int = CORES
    processor: str = ""

    @property
    def median_s(self) -> float:
        """Median seconds of the subject."""
        return median(self.subject_s)

    @property
    def ratio(self) -> float:
        """How many times longer the reference takes: the median ratio of the turns."""
        return median(b / a for a, b in zip(self.subject_s, self.reference_s, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "what": "seconds from the start of the process to the trained model on disk, in turns",
            "cores": self.cores,
            "processor": self.processor,
            "reference": self.reference,
            "subject_s": list(self.subject_s),
            "reference_s": list(self.reference_s),
            "median_s": self.median_s,
            "reference_median_s": median(self.reference_s),
            "ratio": self.ratio,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Timing:
        """Invert ``to_dict``. Raises KeyError, TypeError or InvalidValue for anything else."""
        timing = cls(
            data["reference"],
            tuple(data["subject_s"]),
            tuple(data["reference_s"]),
            data["cores"],
            data["processor"],
        )
        times = (*timing.subject_s, *timing.reference_s)
        if not all(map(is_figure, times)) or not all(
            isinstance(text, str) for text in (timing.reference, timing.processor)
        ):
            raise InvalidValue("timing does not consist of seconds, a reference and a processor")
        if not is_count(timing.cores, 1):
            raise InvalidValue(f"timing.cores is {timing.cores!r}; expected a whole number from 1")
        if len(timing.subject_s) != len(timing.reference_s) or not times or min(times) <= 0:
            raise InvalidValue("timing needs equally many turns of both trainings, each longer than 0 s")
        return timing


def reference_text(recipe: Recipe, engine: str) -> str:
    """Return ``minimal, torch engine, fp32``."""
    return f"{recipe.name}, {engine} engine, fp32"


def in_turns(
    recipe: Recipe,
    engine: str,
    reference: Recipe,
    *,
    reference_engine: str = "torch",
    turns: int = TURNS,
    options: tuple[str, ...] = (),
    start: Callable[[int], OwnStart | None] = lambda seed: None,
    data_dir: Path | None = None,
    on_event: OnEvent = ignore,
) -> Timing:
    """Time a recipe against a reference on two cores, in turns.

    Args:
        recipe: the subject.
        engine: trains the subject.
        reference: what the subject is compared with.
        reference_engine: trains the reference.
        turns: trainings of each.
        options: further options of ``under20k train`` for the subject.
        start: returns what the subject's training of a seed starts from, if it is a user's own model.
        data_dir: holds MNIST; by default the cache folder.
        on_event: called with a note of each training's seconds.

    Raises:
        UserError: this process may not use two cores, or a training fails.
    """
    if turns < 1:
        raise UserError(f"turns: {turns}; allowed are whole numbers from 1")
    subject_s, reference_s = [], []
    with only_cores(CORES), tempfile.TemporaryDirectory(prefix="under20k-timing-") as folder:
        for turn in range(turns):
            subject = Path(folder) / f"subject-{turn}"
            if own := start(turn):
                own.write(subject / RUN)
            subject_s.append(timed(recipe, turn, engine, subject, options, data_dir))
            on_event(Note(f"turn {turn + 1} of {turns}: {recipe.name} {subject_s[-1]:.2f} s"))
            other = Path(folder) / f"reference-{turn}"
            reference_s.append(timed(reference, turn, reference_engine, other, (), data_dir))
            on_event(Note(f"turn {turn + 1} of {turns}: {reference.name} {reference_s[-1]:.2f} s"))
    text = reference_text(reference, reference_engine)
    return Timing(text, tuple(subject_s), tuple(reference_s), CORES, processor())


def timed(
    recipe: Recipe, seed: int, engine: str, folder: Path, options: tuple[str, ...], data_dir: Path | None
) -> float:
    """Train in a process of its own, and return the seconds from its start to the model on disk.

    Args:
        recipe: what to train.
        seed: of the training.
        engine: trains it.
        folder: will hold the recipe, the run and the log.
        options: further options of ``under20k train``.
        data_dir: holds MNIST; None for the cache folder.

    Raises:
        UserError: the training failed; with its last line.
    """
    write_text(folder / "recipe.json", recipe.to_json())
    command = [
        *(sys.executable, "-m", "under20k", "train", str(folder / "recipe.json")),
        *("--seed", str(seed), "--runs-dir", str(folder), "--name", RUN),
        *("--engine", engine, "--device", "cpu", "--threads", str(CORES), *options),
        *(("--data-dir", str(data_dir)) if data_dir else ()),
    ]
    model = folder / RUN / "model.safetensors"
    with (folder / "log").open("w+", encoding="utf-8", errors="replace") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        try:
            # A rename makes the complete model appear; the process's later writes are not training.
            while not model.exists() and process.poll() is None:
                time.sleep(POLL_S)
            seconds = time.perf_counter() - started
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        log.seek(0)
        said = log.read().strip().splitlines()
    if code or not model.exists():
        raise UserError(f"the training to be timed failed: {said[-1] if said else f'exit code {code}'}")
    return seconds


@contextmanager
def only_cores(count: int) -> Iterator[None]:
    """Restrict this process, and those started in the block, to ``count`` cores.

    Raises UserError if the process may use fewer.
    """
    available = machine.cores()
    if available.amount < count:
        raise UserError(f"timing needs {count} cores, and this process may use {available.cores_text}")
    if not hasattr(os, "sched_getaffinity"):
        yield  # macOS and Windows can only set the number of threads
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
