"""Training some of a record's seeds again: which ones, how, and what has to come out."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from under20k.engine import isa as instruction_sets
from under20k.engine import machine
from under20k.engine.base import Compute
from under20k.engine.select import choose
from under20k.errors import UserError
from under20k.formatting import percent
from under20k.runs.bench.bench import SeedResult
from under20k.runs.bench.significance import prediction_interval
from under20k.runs.events import Note, OnEvent, ignore
from under20k.runs.metrics import EpochMetrics
from under20k.runs.parallel.scheduler import train_all
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.provenance import PRECISION, identity
from under20k.runs.records.record import Record, weights_digest
from under20k.runs.records.rules import REFERENCE, REFERENCE_ENGINE
from under20k.runs.records.timing import in_turns, reference_text
from under20k.runs.run import Run

CONFIDENCE = 0.999
"""Of the interval that a seed trained elsewhere has to fall into: so often a good one does."""
RATIO_SHARE = 0.5
"""Of the recorded ratio of times, what is to be reached again: turns are few, and processors differ."""
TIMES = ("train_time_s", "total_time_s", "images_per_s")
LOSSES = ("train_loss", "validation_loss")
LOSS_ROUNDING = 1e-12
"""Relative, between losses of the same weights."""


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
    names = (instruction_sets.ISA_VARIABLE, instruction_sets.EMULATION_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    if engine == "native" and instruction_sets.unavailable():
        engine, precision = "torch", PRECISION
    try:
        if engine == "native" and not before[instruction_sets.ISA_VARIABLE]:
            if precision == PRECISION or isa != instruction_sets.BF16_ISA:
                _set(dict(zip(names, (str(isa), "1"), strict=True)))
            try:
                choose(Compute(engine, "cpu", precision))
            except UserError:  # this processor has no such instruction set
                _set(before)
        try:
            choose(Compute(engine, "cpu", precision))
        except UserError:
            precision = PRECISION
        exact = (
            engine == "native"
            and precision == own["precision"]
            and instruction_sets.instruction_set(precision) == isa
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
    on_event: OnEvent = ignore,
) -> list[Rerun]:
    """Train seeds of records again, and compare.

    Engine, instruction set and precision are the record's where this machine has them. Weights and every
    epoch's figures have to be the same bits where processor and numerics are the record's too, and where
    another seed of the same environment gives the same bits here: if a seed does not, the record's first one
    is trained as well, to see. Elsewhere a seed draws its rounding anew: its accuracy has to fall into the
    interval in which one more seed of the record falls in 999 of 1,000 cases.
    """
    with tempfile.TemporaryDirectory(prefix="under20k-rerun-") as folder:
        again = _Trainings([record for record, _ in drawn], Path(folder), jobs, data_dir, on_event)
        wanted = [(index, seed) for index, (_, seeds) in enumerate(drawn) for seed in seeds]
        again.train(wanted)
        again.train(
            sorted(
                {(index, again.first(index)) for index, seed in wanted if again.needs_witness(index, seed)}
            )
        )
        return [again.judged(index, seed) for index, seed in wanted]


class _Trainings:
    """Seeds of records that are trained again, each known by the record's index and its own number."""

    def __init__(
        self,
        records: Sequence[Record],
        folder: Path,
        jobs: int | None,
        data_dir: Path | None,
        on_event: OnEvent,
    ) -> None:
        self.records, self.folder, self.jobs = records, folder, jobs
        self.data_dir, self.on_event = data_dir, on_event
        self.runs: dict[tuple[int, int], Run] = {}
        self.reasons: dict[tuple[int, int], str] = {}
        """Why the others could not be trained."""
        self.exact: set[tuple[int, int]] = set()
        """Those trained by the record's own arithmetic (``By.exact``)."""

    def train(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Train what is not trained yet, together what takes the same instruction set and precision."""
        groups: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for which in wanted:
            if which not in self.runs and which not in self.reasons:
                own = identity(self._entry(*which).environment)
                key = own["engine"], own["precision"], own.get("instruction_set")
                groups.setdefault(key, []).append(which)
        for group in groups.values():
            with as_recorded(self._entry(*group[0]).environment) as by:
                tasks = {which: self._task(*which, by, len(group)) for which in group}
                outcome = train_all(list(tasks.values()), jobs=self.jobs, on_event=self.on_event)
            reasons = {failure.task.path: failure.reason for failure in outcome.failures}
            for which, task in tasks.items():
                if task.path in outcome.runs:
                    self.runs[which] = outcome.runs[task.path]
                    self.exact |= {which} if by.exact else set()
                else:
                    self.reasons[which] = reasons[task.path]

    def first(self, index: int) -> int:
        """A record's first seed."""
        return self.records[index].bench.seeds[0].seed

    def needs_witness(self, index: int, seed: int) -> bool:
        """Whether a seed did not come out the same, and the first one may say that it should have."""
        exact = (index, seed) in self.exact
        return exact and not self._same(index, seed) and self._alike(index, self.first(index), seed)

    def judged(self, index: int, seed: int) -> Rerun:
        """A seed beside the run that trained it again."""
        record, entry = self.records[index], self._entry(index, seed)
        recorded = entry.validation_accuracy
        if (index, seed) in self.reasons:
            text = f"could not be trained: {self.reasons[index, seed]}"
            return Rerun(record.folder, seed, recorded, None, None, False, text)
        run = self.runs[index, seed]
        measured = run.metrics()[-1].validation_accuracy
        beside = f"{percent(measured)}, recorded {percent(recorded)}"
        if self._same(index, seed):
            return Rerun(record.folder, seed, recorded, measured, True, True, f"{beside}: the same bits")
        here, there = _machine(run.session), _machine(entry.environment)
        # torch names no device where it chose one; what both name decides.
        differing = [name for name in here if here[name] != there.get(name)]
        witnesses = [
            other
            for of, other in self.exact
            if of == index and self._alike(index, other, seed) and self._same(index, other)
        ]
        if (witnesses and (index, seed) in self.exact) or not differing:
            same = "with the same numerics, on the same processor"
            why = f"though seed {witnesses[0]} has them here" if witnesses else same
            text = f"{beside}: not the same bits, {why}"
            return Rerun(record.folder, seed, recorded, measured, False, False, text)
        interval = prediction_interval(record.bench.statistics.summary.last, CONFIDENCE)
        inside = interval is not None and interval[0] <= measured <= interval[1]
        spread = "unknown" if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"
        text = (
            f"{beside}: {'within' if inside else 'outside'} the spread of the record's seeds ({spread}); the "
            f"same bits are not required, since it differs in {_named(differing, here, there)}"
        )
        return Rerun(record.folder, seed, recorded, measured, None, inside, text)

    def _task(self, index: int, seed: int, by: By, beside: int) -> Task:
        """The training of a seed, one of ``beside`` at a time at most."""
        threads = self._entry(index, seed).environment["threads"]
        if by.engine == "native":  # which gives the same bits for any number of threads
            threads = max(1, machine.cores().amount // min(beside, self.jobs or beside))
        places = Places(self.folder / str(index), data=self.data_dir)
        return Task(
            self.records[index].bench.recipe, seed, places, Compute(by.engine, "cpu", by.precision, threads)
        )

    def _same(self, index: int, seed: int) -> bool:
        """Whether a seed was trained again to the same weights and figures; not where it was not."""
        run = self.runs.get((index, seed))
        if run is None or weights_digest(run.weights()) != self.records[index].weights[seed]:
            return False
        now, before = run.metrics(), self._entry(index, seed).epochs
        return all(same_figures(*pair) for pair in zip(now, before, strict=True))

    def _alike(self, index: int, one: int, other: int) -> bool:
        """Whether two seeds were recorded by the same machine and numerics."""
        first, second = (_machine(self._entry(index, seed).environment) for seed in (one, other))
        return first == second

    def _entry(self, index: int, seed: int) -> SeedResult:
        """What a record says of a seed."""
        (entry,) = (entry for entry in self.records[index].bench.seeds if entry.seed == seed)
        return entry


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    return identity(environment) | {"processor": environment.get("processor")}


def _named(differing: Sequence[str], here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Names of what differs, each with the values: ``numerics (1 here, 2 in the record)``."""
    return ", ".join(f"{name} ({here[name]} here, {there.get(name)} in the record)" for name in differing)


def same_figures(one: EpochMetrics, other: EpochMetrics) -> bool:
    """Whether two epochs have the same figures, times aside.

    NumPy sums the validation loss with the processor's own logarithm, whose last digit may differ where the
    weights do not.
    """
    names = [name for name in asdict(one) if name not in (*TIMES, *LOSSES)]
    return all(getattr(one, name) == getattr(other, name) for name in names) and all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=LOSS_ROUNDING) for name in LOSSES
    )


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


def time_again(record: Record, *, data_dir: Path | None = None, on_event: OnEvent = ignore) -> Retiming:
    """Time a record of the track ``fast`` in a turn with the reference: of their ratio, seconds being
    another machine's, at least ``RATIO_SHARE`` of the recorded one has to be reached.
    """
    assert record.timing is not None
    recorded, own = record.timing.ratio, identity(record.bench.seeds[0].environment)
    on_event(Note(f"{record.folder}: timing against {reference_text(REFERENCE, REFERENCE_ENGINE)}"))
    try:
        measured = in_turns(
            record.bench.recipe,
            own["engine"],
            REFERENCE,
            reference_engine=REFERENCE_ENGINE,
            turns=1,
            options=precision_options(own),
            data_dir=data_dir,
            on_event=on_event,
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
