"""Is a record what it says? Statistics computed again, rules checked, some of its seeds trained again."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from under20k import teachers
from under20k.data.split import TRAIN_COUNT
from under20k.engine import choose, native_engine
from under20k.environment import PRECISION, identity
from under20k.errors import UserError
from under20k.files import read_text, write_text
from under20k.inference import RESOLUTION, prediction_interval
from under20k.records import FILES, Record, rules_broken, weights_digest
from under20k.report.records import record_document
from under20k.run import Run
from under20k.statistics import percent
from under20k.trainings import Task, Unwatched, Watcher, train_all

TOLERANCE = 1e-12  # between a statistic that is recorded and the same one computed again
CONFIDENCE = 0.999
"""Of the interval that a seed trained elsewhere has to fall into: so often a good one does."""
STALE = "README.md does not follow from record.json"
TIMES = ("train_time_s", "total_time_s", "images_per_s")


def check(path: Path) -> list[str]:
    """What is wrong with the record in a folder, in words; nothing where it holds."""
    try:
        record = Record.open(path)
    except UserError as error:
        return [str(error)]
    wrong = (
        []
        if path.resolve().as_posix().endswith(f"/{record.folder}")
        else [f"it lies in {path}, but belongs in {record.folder}"]
    )
    wrong += [f"{file} is missing" for file in FILES if not (path / file).is_file()]
    assert record.recorded is not None
    wrong += differences(record.recorded, record.to_dict())
    wrong += impossible(record)
    wrong += rules_broken(record)
    if (path / "README.md").is_file() and read_text(path / "README.md") != page(record):
        wrong.append(STALE)
    return wrong


def page(record: Record) -> str:
    """A record's README.md."""
    return record_document(record, drawn=False).markdown()


def renewed(path: Path) -> bool:
    """Write a record's README.md again where nothing but that is wrong with it; whether it was.

    The page is made from the record: another version may word it otherwise.
    """
    record = Record.open(path)
    if not (path / "README.md").is_file() or read_text(path / "README.md") == (text := page(record)):
        return False
    if check(path) != [STALE]:
        return False
    write_text(path / "README.md", text)
    return True


def impossible(record: Record) -> list[str]:
    """Figures that no training gives: accuracies that count no images, epochs out of order, no time."""
    wrong = []
    for seed in record.bench.seeds:
        if [epoch.epoch for epoch in seed.epochs] != list(range(1, len(seed.epochs) + 1)):
            wrong.append(f"seed {seed.seed}: its epochs do not count from 1 onwards")
        for epoch in seed.epochs:
            for accuracy, images in (
                (epoch.train_accuracy, TRAIN_COUNT),
                (epoch.validation_accuracy, RESOLUTION),
            ):
                if not counts_images(accuracy, images):
                    wrong.append(f"seed {seed.seed}: {accuracy} is no share of {images:,} images")
            if min(epoch.train_time_s, epoch.total_time_s, epoch.images_per_s) <= 0:
                wrong.append(f"seed {seed.seed}: epoch {epoch.epoch} took no time")
        for teacher in teachers.noted(seed.environment):
            accuracy = teacher["validation_accuracy"]
            if not counts_images(accuracy, RESOLUTION):
                wrong.append(f"seed {seed.seed}: {accuracy} is no accuracy of a teacher")
            if teacher["time_s"] <= 0:
                wrong.append(f"seed {seed.seed}: a teacher took no time")
        for reading in record.readings.get(seed.seed, ()):
            whole = type(reading.correct) is int and type(reading.images) is int
            if not whole or reading.images != RESOLUTION or not 0 <= reading.correct <= reading.images:
                wrong.append(f"seed {seed.seed}: {reading.correct} of {reading.images} is no test accuracy")
    return wrong


def counts_images(accuracy: float, images: int) -> bool:
    """Whether it is the share of a whole number of so many images."""
    count = accuracy * images
    return abs(count - round(count)) <= 1e-6 and 0 <= count <= images


def differences(recorded: Any, computed: Any, where: str = "") -> list[str]:
    """Where two plain values differ: numbers by more than rounding, anything else at all."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        names = {**recorded, **computed}
        missing = object()
        return [
            line
            for name in names
            for line in differences(
                recorded.get(name, missing), computed.get(name, missing), f"{where}.{name}".lstrip(".")
            )
        ]
    if isinstance(recorded, list) and isinstance(computed, list) and len(recorded) == len(computed):
        return [
            line
            for index, (one, other) in enumerate(zip(recorded, computed, strict=True))
            for line in differences(one, other, f"{where}[{index}]")
        ]
    numbers = all(type(value) in (int, float) for value in (recorded, computed))
    same = (
        math.isclose(recorded, computed, rel_tol=TOLERANCE, abs_tol=1e-300)
        if numbers
        else type(recorded) is type(computed) and recorded == computed
    )
    if same:
        return []
    shown = [
        repr(value) if type(value) in (int, float, str, bool) else "otherwise"
        for value in (recorded, computed)
    ]
    return [f"{where} is {shown[0]}, and from the seeds' numbers it is {shown[1]}"]


@dataclass(frozen=True)
class Rerun:
    """A recorded seed, trained again."""

    record: str
    seed: int
    recorded: float
    """Validation accuracy at the last epoch."""
    measured: float | None
    """The same now; None where the training failed."""
    same_bits: bool | None
    """Whether weights and figures are the record's to the bit; None where that cannot be asked for."""
    passed: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def rerun(
    records: Sequence[Record],
    count: int,
    *,
    jobs: int | None = None,
    data_dir: Path | None = None,
    watcher: Watcher | None = None,
) -> list[Rerun]:
    """Train the first ``count`` seeds of each record again, and compare.

    Where processor, engine, precision and code are the record's, weights and every epoch's figures have to be
    the same bits. Elsewhere they may be. Where they are not, a seed draws its rounding anew: its accuracy has
    to fall into the interval in which one more seed of the record falls in 999 of 1,000 cases.
    """
    with tempfile.TemporaryDirectory(prefix="under20k-rerun-") as folder:
        tasks = {
            (index, seed.seed): _task(record, seed.seed, Path(folder) / str(index), data_dir)
            for index, record in enumerate(records)
            for seed in record.bench.seeds[:count]
        }
        outcome = train_all(list(tasks.values()), watcher or Unwatched(), jobs=jobs)
        reasons = {failure.task.path: failure.reason for failure in outcome.failures}
        return [
            compared(records[index], seed, outcome.runs[task.path])
            if task.path in outcome.runs
            else _failed(records[index], seed, reasons[task.path])
            for (index, seed), task in tasks.items()
        ]


def compared(record: Record, seed: int, run: Run) -> Rerun:
    """A seed of a record beside the run that trained it again."""
    (entry,) = (entry for entry in record.bench.seeds if entry.seed == seed)
    recorded, metrics = entry.validation_accuracy, run.metrics()
    measured = metrics[-1].validation_accuracy
    here = identity(run.session) | {"processor": run.session.get("processor")}
    there = identity(entry.environment) | {"processor": entry.environment.get("processor")}
    # torch names no device where it chose one; what both name decides.
    differing = [name for name in here if here[name] != there.get(name)]
    beside = f"{percent(measured)}, recorded {percent(recorded)}"
    same = weights_digest(run.weights()) == record.weights[seed] and [
        _untimed(asdict(epoch)) for epoch in metrics
    ] == [_untimed(asdict(epoch)) for epoch in entry.epochs]
    if same or not differing:
        text = f"{beside}: {'the same bits' if same else 'not the same bits, on the same machine and code'}"
        return Rerun(record.folder, seed, recorded, measured, same, same, text)
    interval = prediction_interval(record.bench.statistics.summary.last, CONFIDENCE)
    inside = interval is not None and interval[0] <= measured <= interval[1]
    spread = "unknown" if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"
    text = (
        f"{beside}: {'within' if inside else 'outside'} the spread of the record's seeds ({spread}); "
        f"not asked for the same bits, for it differs in {', '.join(differing)}"
    )
    return Rerun(record.folder, seed, recorded, measured, None, inside, text)


def _task(record: Record, seed: int, folder: Path, data_dir: Path | None) -> Task:
    """The training of a recorded seed by the record's engine and precision, or those there are."""
    (entry,) = (entry for entry in record.bench.seeds if entry.seed == seed)
    environment = entry.environment
    engine = str(environment.get("engine"))
    if engine == "native" and native_engine.unavailable():
        engine = "torch"
    threads = environment.get("threads") if engine == "torch" else 1
    precision = identity(environment)["precision"]
    try:
        choose(engine, "cpu", precision)
    except UserError:
        precision = PRECISION
    return Task(record.bench.recipe, seed, folder, engine, "cpu", threads or 1, data_dir, precision=precision)


def _failed(record: Record, seed: int, reason: str) -> Rerun:
    (entry,) = (entry for entry in record.bench.seeds if entry.seed == seed)
    text = f"could not be trained: {reason}"
    return Rerun(record.folder, seed, entry.validation_accuracy, None, None, False, text)


def _untimed(epoch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name not in TIMES}
