"""Train some of a record's seeds again, and compare."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from under20k.engine.base import Compute
from under20k.formatting import percent
from under20k.runs.bench.bench import SeedResult
from under20k.runs.bench.significance import prediction_interval
from under20k.runs.events import OnEvent, ignore
from under20k.runs.metrics import EpochMetrics
from under20k.runs.parallel.scheduler import train_all
from under20k.runs.parallel.task import Task
from under20k.runs.places import Places
from under20k.runs.provenance import identity
from under20k.runs.records.arithmetic import Arithmetic, as_recorded
from under20k.runs.records.initial import start_of
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.run import Run, run_path

CONFIDENCE = 0.999
"""Probability that an honest seed trained elsewhere falls within the interval that it is held to."""
TIMES = ("train_time_s", "total_time_s", "images_per_s")
LOSSES = ("train_loss", "validation_loss")
ARITHMETIC = ("engine", "precision", "instruction_set")
LOSS_ROUNDING = 1e-12
"""Relative difference allowed between losses of the same weights."""

Key = tuple[int, int]
"""A seed of a record: the record's index and the seed's number."""


@dataclass(frozen=True)
class Rerun:
    """A recorded seed, trained again."""

    record: str
    seed: int
    recorded: float
    """Validation accuracy at the last epoch, as a fraction."""
    measured: float | None
    """The same today; None if the training failed."""
    same_bits: bool | None
    """Whether weights and figures are bit-exact; None if they differ and need not be."""
    passed: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def rerun(
    drawn: Sequence[tuple[Record, Sequence[int]]],
    *,
    reuse: Path | None = None,
    jobs: int | None = None,
    data_dir: Path | None = None,
    on_event: OnEvent = ignore,
) -> list[Rerun]:
    """Train seeds of records again, and compare.

    Engine, instruction set and precision are the record's, if this machine has them. Weights and figures
    must be bit-exact if processor and numerics are the record's too, or if another seed of the same
    environment is bit-exact here: when a seed is not, the record's first seed is trained as well, to see.
    Elsewhere rounding differs, and the accuracy must fall within the prediction interval of the record's
    seeds, which 999 of 1,000 new seeds do.

    Args:
        drawn: records, each with the seeds to train.
        reuse: folder of runs; finished ones of a record's recipe and seed are compared, not trained.
        jobs: trainings in parallel; by default one per core.
        data_dir: holds MNIST; by default the cache folder.
        on_event: called with the events of the trainings.

    Returns:
        One result a seed, in the order given, then those of ``reuse``.
    """
    with tempfile.TemporaryDirectory(prefix="under20k-rerun-") as folder:
        trainings = _Trainings([record for record, _ in drawn], Path(folder), jobs, data_dir, on_event)
        wanted = [(index, seed) for index, (_, seeds) in enumerate(drawn) for seed in seeds]
        if reuse is not None:
            wanted = list(dict.fromkeys([*wanted, *trainings.reuse(reuse, wanted)]))
        trainings.train(wanted)
        trainings.train(
            sorted({(key[0], trainings.first(key[0])) for key in wanted if trainings.doubtful(key)})
        )
        return [trainings.compare(key) for key in wanted]


class _Trainings:
    """Seeds of records that are trained again."""

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
        self.runs: dict[Key, Run] = {}
        self.failures: dict[Key, str] = {}
        """Why seeds could not be trained."""
        self.exact: set[Key] = set()
        """Seeds trained with the record's own arithmetic."""

    def reuse(self, runs: Path, drawn: Sequence[Key]) -> list[Key]:
        """Take the finished runs of a folder that are of a record's recipe and seed; return their seeds.

        A drawn seed's run is left if it has other arithmetic than the record: retraining may have the same.
        """
        for index, record in enumerate(self.records):
            for seed in record.bench.seeds:
                key, recipe = (index, seed.seed), record.bench.recipe
                if not (run_path(runs, recipe.name, seed.seed) / "model.safetensors").is_file():
                    continue
                run = Run.open(run_path(runs, recipe.name, seed.seed))
                here, there = identity(run.session), identity(seed.environment)
                same = all(here.get(name) == there.get(name) for name in ARITHMETIC)
                start = start_of(recipe, seed.seed, record.initial)
                began_so = start is None or start.is_of(run.path)
                if (run.recipe, run.seed) == (recipe, seed.seed) and began_so and (same or key not in drawn):
                    self.runs[key] = run
                    self.exact |= {key} if same and here["engine"] == "native" else set()
        return list(self.runs)

    def train(self, wanted: Iterable[Key]) -> None:
        """Train the remaining seeds, together if instruction set and precision are the same."""
        groups: dict[tuple[Any, ...], list[Key]] = {}
        for key in wanted:
            if key not in self.runs and key not in self.failures:
                own = identity(self._recorded(key).environment)
                group = own["engine"], own["precision"], own.get("instruction_set")
                groups.setdefault(group, []).append(key)
        for keys in groups.values():
            with as_recorded(self._recorded(keys[0]).environment) as arithmetic:
                tasks = {key: self._task(key, arithmetic) for key in keys}
                outcome = train_all(list(tasks.values()), jobs=self.jobs, on_event=self.on_event)
            reasons = {failure.task.path: failure.reason for failure in outcome.failures}
            for key, task in tasks.items():
                if task.path in outcome.runs:
                    self.runs[key] = outcome.runs[task.path]
                    self.exact |= {key} if arithmetic.exact else set()
                else:
                    self.failures[key] = reasons[task.path]

    def first(self, index: int) -> int:
        """Return the first seed of a record."""
        return self.records[index].bench.seeds[0].seed

    def doubtful(self, key: Key) -> bool:
        """Return whether a seed is not bit-exact, and the record's first seed can tell if it should be."""
        first = key[0], self.first(key[0])
        return key in self.exact and not self._same_bits(key) and self._same_machine(first, key)

    def compare(self, key: Key) -> Rerun:
        """Compare a seed with the run that trained it again."""
        record, recorded = self.records[key[0]], self._recorded(key)
        accuracy = recorded.validation_accuracy

        def result(measured: float | None, same_bits: bool | None, passed: bool, text: str) -> Rerun:
            return Rerun(record.folder, key[1], accuracy, measured, same_bits, passed, text)

        if key in self.failures:
            return result(None, None, False, f"could not be trained: {self.failures[key]}")
        run = self.runs[key]
        measured = run.metrics()[-1].validation_accuracy
        both = f"{percent(measured)}, recorded {percent(accuracy)}"
        if self._same_bits(key):
            return result(measured, True, True, f"{both}: bit-exact")
        here, there = _machine(run.session), _machine(recorded.environment)
        # torch does not record a device that it chose itself, so compare only entries that both have.
        differing = [name for name in here if here[name] != there.get(name)]
        witness = self._witness(key)
        if witness is not None or not differing:
            why = "with the same numerics, on the same processor"
            if witness is not None:
                why = f"though seed {witness} is bit-exact here"
            return result(measured, False, False, f"{both}: not bit-exact, {why}")
        interval = prediction_interval(record.bench.statistics.summary.last, CONFIDENCE)
        inside = interval is not None and interval[0] <= measured <= interval[1]
        spread = "unknown" if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"
        text = (
            f"{both}: {'within' if inside else 'outside'} the spread of the record's seeds ({spread}); "
            f"bit-exact match not required: {_differences(differing, here, there)}"
        )
        return result(measured, None, inside, text)

    def _witness(self, key: Key) -> int | None:
        """Return a seed that shows that the seed ``key`` should be bit-exact here, if there is one."""
        if key not in self.exact:
            return None
        return next(
            (
                other[1]
                for other in self.exact
                if other[0] == key[0] and self._same_machine(other, key) and self._same_bits(other)
            ),
            None,
        )

    def _task(self, key: Key, arithmetic: Arithmetic) -> Task:
        """Return the training of a seed."""
        index, seed = key
        threads = self._recorded(key).environment["threads"]
        if arithmetic.engine == "native":  # bit-exact for any number of threads
            threads = None
        places = Places(self.folder / str(index), data=self.data_dir)
        compute = Compute(arithmetic.engine, "cpu", arithmetic.precision, threads)
        recipe, initial = self.records[index].bench.recipe, self.records[index].initial
        return Task(recipe, seed, places, compute, start=start_of(recipe, seed, initial))

    def _same_bits(self, key: Key) -> bool:
        """Return whether a seed was trained again to the same weights and figures."""
        run = self.runs.get(key)
        if run is None or weights_sha256(run.weights()) != self.records[key[0]].weights[key[1]]:
            return False
        epochs = zip(run.metrics(), self._recorded(key).epochs, strict=True)
        return all(same_figures(now, before) for now, before in epochs)

    def _same_machine(self, one: Key, other: Key) -> bool:
        """Return whether two seeds were recorded on the same processor and with the same numerics."""
        first, second = (_machine(self._recorded(key).environment) for key in (one, other))
        return first == second

    def _recorded(self, key: Key) -> SeedResult:
        (found,) = (seed for seed in self.records[key[0]].bench.seeds if seed.seed == key[1])
        return found


def same_figures(one: EpochMetrics, other: EpochMetrics) -> bool:
    """Return whether two epochs have the same figures, times aside.

    Losses may differ in the last digit even for the same weights: NumPy's logarithm depends on the
    processor.
    """
    names = [name for name in asdict(one) if name not in (*TIMES, *LOSSES)]
    return all(getattr(one, name) == getattr(other, name) for name in names) and all(
        math.isclose(getattr(one, name), getattr(other, name), rel_tol=LOSS_ROUNDING) for name in LOSSES
    )


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    return identity(environment) | {"processor": environment.get("processor")}


def _differences(names: Sequence[str], here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Return the names with both values: ``numerics differs (1 here, 2 in the record)``."""
    return ", ".join(f"{name} differs ({here[name]} here, {there.get(name)} in the record)" for name in names)
