"""Training some of a record's seeds again: which ones, how, and what has to come out."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from under20k.engine import available_cores, choose, native_engine
from under20k.environment import PRECISION, identity
from under20k.errors import UserError
from under20k.inference import prediction_interval
from under20k.records import Record, weights_digest
from under20k.run import Run
from under20k.seeds import SeedResult
from under20k.statistics import percent
from under20k.timing import in_turns, reference_text
from under20k.tracks import REFERENCE, REFERENCE_ENGINE
from under20k.trainings import Task, Unwatched, Watcher, train_all

CONFIDENCE = 0.999
"""Of the interval that a seed trained elsewhere has to fall into: so often a good one does."""
RATIO_SHARE = 0.5
"""Of the recorded ratio of times, what is to be reached again: turns are few, and processors differ."""
TIMES = ("train_time_s", "total_time_s", "images_per_s")


def draw(record: Record, count: int, source: str) -> list[int]:
    """So many of a record's seeds, drawn by the text ``source``: the same for the same text."""
    seeds = [seed.seed for seed in record.bench.seeds]
    return sorted(sorted(seeds, key=lambda seed: _lot(source, record.folder, seed))[:count])


def draw_records(records: Sequence[Record], count: int, source: str) -> list[Record]:
    """So many of the records, drawn likewise, in their own order."""
    chosen = sorted(records, key=lambda record: _lot(source, record.folder))[:count]
    return [record for record in records if record in chosen]


def _lot(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="backslashreplace")).hexdigest()


@dataclass(frozen=True)
class By:
    """What computes here, in place of what computed for a record."""

    engine: str
    precision: str
    exact: bool
    """Whether it is the native engine with the record's instruction set and precision."""


@contextmanager
def as_recorded(environment: Mapping[str, Any]) -> Iterator[By]:
    """Have the block, and the processes that it starts, compute as a record's seed did, if this machine can.

    The native engine takes the recorded instruction set, unless UNDER20K_ISA names one, and emulates bf16
    where that was emulated.
    """
    own = identity(environment)
    engine, precision, isa = str(own["engine"]), str(own["precision"]), own.get("instruction_set")
    names = (native_engine.ISA_VARIABLE, native_engine.EMULATION_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    if engine == "native" and native_engine.unavailable():
        engine, precision = "torch", PRECISION
    try:
        if engine == "native" and not before[native_engine.ISA_VARIABLE]:
            if precision == PRECISION or isa != native_engine.BF16_ISA:
                _set(dict(zip(names, (str(isa), "1"), strict=True)))
            try:
                choose(engine, "cpu", precision)
            except UserError:  # this processor has no such instruction set
                _set(before)
        try:
            choose(engine, "cpu", precision)
        except UserError:
            precision = PRECISION
        exact = (
            engine == "native"
            and precision == own["precision"]
            and native_engine.instruction_set(precision) == isa
        )
        yield By(engine, precision, exact)
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


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
    drawn: Sequence[tuple[Record, Sequence[int]]],
    *,
    jobs: int | None = None,
    data_dir: Path | None = None,
    watcher: Watcher | None = None,
) -> list[Rerun]:
    """Train seeds of records again, and compare.

    Engine, instruction set and precision are the record's where this machine has them. Weights and every
    epoch's figures have to be the same bits where processor and code are the record's too, and where another
    seed of the same environment gives the same bits here: if a seed does not, the record's first one is
    trained as well, to see. Elsewhere a seed draws its rounding anew: its accuracy has to fall into the
    interval in which one more seed of the record falls in 999 of 1,000 cases.
    """
    with tempfile.TemporaryDirectory(prefix="under20k-rerun-") as folder:
        again = _Trainings(Path(folder), jobs, data_dir, watcher or Unwatched())
        again.train((record, seed) for record, seeds in drawn for seed in seeds)
        again.train(
            (record, witness)
            for record, seeds in drawn
            if (witness := again.witness_wanted(record, seeds)) is not None
        )
        return [again.judged(record, seed) for record, seeds in drawn for seed in seeds]


class _Trainings:
    """Seeds of records that are trained again, by the record's folder and the seed."""

    def __init__(self, folder: Path, jobs: int | None, data_dir: Path | None, watcher: Watcher) -> None:
        self.folder, self.jobs, self.data_dir, self.watcher = folder, jobs, data_dir, watcher
        self.runs: dict[tuple[str, int], Run] = {}
        self.reasons: dict[tuple[str, int], str] = {}
        self.exact: set[tuple[str, int]] = set()

    def train(self, wanted: Iterable[tuple[Record, int]]) -> None:
        """Train what is not trained yet, together what takes the same instruction set and precision."""
        groups: dict[tuple[Any, ...], list[tuple[Record, int]]] = {}
        for record, seed in wanted:
            own = identity(entry_of(record, seed).environment)
            key = own["engine"], own["precision"], own.get("instruction_set")
            groups.setdefault(key, []).append((record, seed))
        for group in groups.values():
            with as_recorded(entry_of(*group[0]).environment) as by:
                missing = [
                    (record, seed)
                    for record, seed in group
                    if (record.folder, seed) not in self.runs.keys() | self.reasons.keys()
                ]
                tasks = {
                    (record.folder, seed): self._task(record, seed, by, len(missing))
                    for record, seed in missing
                }
                outcome = train_all(list(tasks.values()), self.watcher, jobs=self.jobs)
            reasons = {failure.task.path: failure.reason for failure in outcome.failures}
            for which, task in tasks.items():
                if task.path in outcome.runs:
                    self.runs[which] = outcome.runs[task.path]
                    self.exact |= {which} if by.exact else set()
                else:
                    self.reasons[which] = reasons[task.path]

    def witness_wanted(self, record: Record, seeds: Sequence[int]) -> int | None:
        """The record's first seed, where a seed did not come out the same and the first one may tell why."""
        first = record.bench.seeds[0].seed
        for seed in seeds:
            which = record.folder, seed
            if which in self.exact and not self._same(record, seed) and self._alike(record, first, seed):
                return first
        return None

    def judged(self, record: Record, seed: int) -> Rerun:
        """A seed beside the run that trained it again."""
        entry = entry_of(record, seed)
        recorded = entry.validation_accuracy
        which = record.folder, seed
        if which in self.reasons:
            text = f"could not be trained: {self.reasons[which]}"
            return Rerun(record.folder, seed, recorded, None, None, False, text)
        run = self.runs[which]
        measured = run.metrics()[-1].validation_accuracy
        beside = f"{percent(measured)}, recorded {percent(recorded)}"
        if self._same(record, seed):
            return Rerun(record.folder, seed, recorded, measured, True, True, f"{beside}: the same bits")
        here, there = _machine(run.session), _machine(entry.environment)
        # torch names no device where it chose one; what both name decides.
        differing = [name for name in here if here[name] != there.get(name)]
        witnesses = [
            other
            for folder, other in self.runs
            if folder == record.folder and self._alike(record, other, seed) and self._same(record, other)
        ]
        if witnesses or not differing:
            why = f"though seed {witnesses[0]} has them here" if witnesses else "on the same machine and code"
            text = f"{beside}: not the same bits, {why}"
            return Rerun(record.folder, seed, recorded, measured, False, False, text)
        interval = prediction_interval(record.bench.statistics.summary.last, CONFIDENCE)
        inside = interval is not None and interval[0] <= measured <= interval[1]
        spread = "unknown" if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"
        text = (
            f"{beside}: {'within' if inside else 'outside'} the spread of the record's seeds ({spread}); the "
            f"same bits are not required, since it differs in {', '.join(differing)}"
        )
        return Rerun(record.folder, seed, recorded, measured, None, inside, text)

    def _task(self, record: Record, seed: int, by: By, beside: int) -> Task:
        """The training of a seed, one of ``beside`` at a time at most."""
        threads = entry_of(record, seed).environment["threads"]
        if by.engine == "native":  # which gives the same bits for any number of threads
            threads = max(1, available_cores() // min(beside, self.jobs or beside))
        folder = self.folder / record.folder
        return Task(
            record.bench.recipe,
            seed,
            folder,
            by.engine,
            "cpu",
            threads,
            self.data_dir,
            precision=by.precision,
        )

    def _same(self, record: Record, seed: int) -> bool:
        """Whether a seed was trained again to the same weights and figures; not where it was not."""
        run = self.runs.get((record.folder, seed))
        if run is None or weights_digest(run.weights()) != record.weights[seed]:
            return False
        return [_untimed(asdict(epoch)) for epoch in run.metrics()] == [
            _untimed(asdict(epoch)) for epoch in entry_of(record, seed).epochs
        ]

    def _alike(self, record: Record, one: int, other: int) -> bool:
        """Whether two seeds were recorded by the same machine and code."""
        first, second = (_machine(entry_of(record, seed).environment) for seed in (one, other))
        return first == second


def entry_of(record: Record, seed: int) -> SeedResult:
    """What a record says of a seed."""
    (entry,) = (entry for entry in record.bench.seeds if entry.seed == seed)
    return entry


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    return identity(environment) | {"processor": environment.get("processor")}


def _untimed(epoch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name not in TIMES}


@dataclass(frozen=True)
class Retiming:
    """A record's training, timed against the reference again."""

    record: str
    recorded: float
    """How many times longer the reference took."""
    measured: float | None
    """The same now; None where a training failed."""
    passed: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def time_again(
    record: Record, *, data_dir: Path | None = None, tell: Callable[[str], None] = lambda text: None
) -> Retiming:
    """Time a record of the track ``fast`` in a turn with the reference: of their ratio, seconds being
    another machine's, at least ``RATIO_SHARE`` of the recorded one has to be reached.
    """
    assert record.timing is not None
    recorded, own = record.timing.ratio, identity(record.bench.seeds[0].environment)
    tell(f"{record.folder}: timing against {reference_text(REFERENCE, REFERENCE_ENGINE)}")
    try:
        measured = in_turns(
            record.bench.recipe,
            own["engine"],
            REFERENCE,
            reference_engine=REFERENCE_ENGINE,
            turns=1,
            options=precision_options(own),
            data_dir=data_dir,
            tell=tell,
        ).ratio
    except UserError as error:
        return Retiming(record.folder, recorded, None, False, f"could not be timed: {error}")
    passed = measured >= RATIO_SHARE * recorded
    return Retiming(
        record.folder,
        recorded,
        measured,
        passed,
        f"{measured:.1f} times faster than the reference, recorded {recorded:.1f}; at least "
        f"{RATIO_SHARE * recorded:.1f} is required",
    )


def precision_options(own: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of ``under20k train`` for the precision of an ``identity``."""
    return () if own["precision"] == PRECISION else ("--precision", str(own["precision"]))
