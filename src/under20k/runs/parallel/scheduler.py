"""Many trainings at once: on processes of this machine, or on a cluster's; the same code for both."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

from under20k.engine.base import Engine
from under20k.engine.select import choose, least_bytes, torch_device
from under20k.errors import UserError, unforeseen
from under20k.files import is_present, remove, write_bytes
from under20k.recipe.recipe import Recipe
from under20k.runs.distillation import remove_teachers
from under20k.runs.metrics import EpochMetrics
from under20k.runs.parallel.local import DiedInStart, NoMainGuard, end_if_only_imported, local_processes
from under20k.runs.parallel.pool import Message, Pool
from under20k.runs.provenance import command, expected_identity, identity
from under20k.runs.run import FILES, InUse, Run, lock, run_path
from under20k.runs.train import Silent, epochs_done, train

POLL_S = 0.1
STEP_S = 0.2  # between what a worker tells of its steps
LOOK_S = 1.0  # between two looks at what another process trains
ATTEMPTS = 2  # of a training whose process dies


@dataclass(frozen=True)
class Task:
    """One training to be done, in the run folder that it is to fill."""

    recipe: Recipe
    seed: int
    runs_dir: Path
    engine: str = "auto"
    device: str = "auto"
    threads: int = 1
    data_dir: Path | None = None
    overwrite: bool = False
    """Train anew what other code or another engine has trained."""
    precision: str = "auto"

    @property
    def path(self) -> Path:
        return run_path(self.runs_dir, self.recipe.name, self.seed)

    @property
    def label(self) -> str:
        """``minimal-0``."""
        return self.path.name


class Watcher(Protocol):
    """Someone who watches many trainings; every call comes from the thread that called ``train_all``."""

    def on_reuse(self, run: Run, differing: str) -> None:
        """A run was finished before and is taken as it is, whatever it was trained by (``differences``)."""

    def on_begin(self, tasks: Sequence[Task], where: str) -> None:
        """These are to be trained, ``where`` in words; not called where there are none."""

    def on_start(self, task: Task, session: Mapping[str, Any], metrics: Sequence[EpochMetrics]) -> None:
        """A process begins a training, or goes on with it after so many epochs; what trains it."""

    def on_teacher(self, task: Task, number: int, metrics: EpochMetrics) -> None:
        """A teacher of the task, counted from 1, is trained; its last epoch."""

    def on_step(self, task: Task, images_done: int) -> None:
        """So many images of the task's running epoch are done."""

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None:
        """An epoch of a task is done."""

    def on_done(self, task: Task, run: Run) -> None:
        """A training is done, its run finished."""

    def on_retry(self, task: Task) -> None:
        """The process that trained it died; it is tried again."""

    def on_failure(self, failure: Failure) -> None:
        """A training is given up."""

    def on_news(self, text: str) -> None:
        """Something that whoever waits wants to know, such as a worker that came or went."""


class Unwatched:
    """A ``Watcher`` that looks away."""

    def on_reuse(self, run: Run, differing: str) -> None: ...

    def on_begin(self, tasks: Sequence[Task], where: str) -> None: ...

    def on_start(self, task: Task, session: Mapping[str, Any], metrics: Sequence[EpochMetrics]) -> None: ...

    def on_teacher(self, task: Task, number: int, metrics: EpochMetrics) -> None: ...

    def on_step(self, task: Task, images_done: int) -> None: ...

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None: ...

    def on_done(self, task: Task, run: Run) -> None: ...

    def on_retry(self, task: Task) -> None: ...

    def on_failure(self, failure: Failure) -> None: ...

    def on_news(self, text: str) -> None: ...


@dataclass(frozen=True)
class Failure:
    """A training that was given up, and why."""

    task: Task
    reason: str

    def __str__(self) -> str:
        return f"{self.task.label}: {self.reason}"


@dataclass(frozen=True)
class Outcome:
    """What became of many trainings."""

    runs: Mapping[Path, Run]
    """The finished ones, by their folder, in the order of the tasks."""
    failures: Sequence[Failure]

    def raise_first(self) -> None:
        """Raise UserError with the first failure, if any."""
        if self.failures:
            raise UserError(f"{self.failures[0]}; what is done is kept: call again to go on")


def train_all(
    tasks: Sequence[Task],
    watcher: Watcher,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    same_code: bool = False,
) -> Outcome:
    """Train every task; what fails is reported, and the others are kept.

    Runs that are finished are reused, unfinished ones go on. ``jobs`` processes at a time, by default as many
    as the cores hold at the tasks' number of threads; or the workers of the Dask ``cluster`` at that address.
    A training whose process dies is tried once more; one that another process is at is left for last, and
    taken as it is if that finishes it. With ``same_code``, what another engine or other code has trained is
    not reused: UserError, unless the task says ``overwrite``. Raises UserError for what no training could do
    with either.
    """
    end_if_only_imported()
    away = cluster is not None
    check_options(tasks, away=away)
    runs: dict[Path, Run] = {}
    missing = []
    for task in tasks:
        task = fitting(task, away=away) if same_code else replace(task, overwrite=False)
        if run := None if task.overwrite else finished(task):
            runs[task.path] = run
            watcher.on_reuse(run, "" if same_code else differences(task, run, away=away))
        else:
            missing.append(task)
    failures: list[Failure] = []
    if missing:
        with _pool(missing, jobs, cluster) as pool:
            watcher.on_begin(missing, pool.where)
            failures = _train_missing(missing, watcher, pool, same_code)
        lost = {failure.task.path for failure in failures}
        runs |= {task.path: Run.open(task.path) for task in missing if task.path not in lost}
    return Outcome({task.path: runs[task.path] for task in tasks if task.path in runs}, failures)


def check_options(tasks: Sequence[Task], *, away: bool) -> None:
    """Raise UserError for an engine, a device or a precision that no task could have here, and for a seed too
    large for its teachers.
    """
    for task in tasks:
        if task.recipe.distillation:
            task.recipe.distillation.seeds(task.seed)
    for engine, device, precision in {(task.engine, task.device, task.precision) for task in tasks}:
        chosen = choose(engine, device, precision).engine
        if chosen == "torch" and device != "auto" and not away:
            torch_device(device)


def finished(task: Task) -> Run | None:
    """The finished run of a task, report and all, if any. Raises UserError where another takes its place, or
    it is damaged.
    """
    # The report comes last: a kill between the two leaves a run that lacks it.
    if not all(is_present(task.path / name) for name in ("model.safetensors", "report.md")):
        return None
    run = Run.open(task.path)
    if run.recipe != task.recipe or run.seed != task.seed:
        raise UserError(
            f"{task.path} holds a run of another recipe or seed; move it, "
            "or name another folder with --runs-dir"
        )
    run.metrics()
    run.weights()
    return run


def fitting(task: Task, *, away: bool) -> Task:
    """The task, set to train anew only where its folder holds, in part or whole, the work of another engine
    or other code.

    Raises UserError where it does and the task does not say ``overwrite``.
    """
    try:
        if not is_present(task.path / "environment.json"):
            return replace(task, overwrite=False)
        run = Run.open(task.path)
        if run.finished:
            run.metrics()
            run.weights()
    except UserError:  # damaged
        if task.overwrite:
            return task
        raise
    differing = differences(task, run, away=away)
    if differing and not task.overwrite:
        raise UserError(
            f"{task.path} was trained otherwise ({differing}); --overwrite trains it anew, --runs-dir "
            "names another folder"
        )
    return replace(task, overwrite=bool(differing))


def differences(task: Task, run: Run, *, away: bool) -> str:
    """What the task's run was trained by and would not be today: ``code 01ab…, now 23cd…``, or nothing."""
    trained = [identity(session) for session in run.sessions]
    # What cannot be said before has to be the same in all sessions.
    expected = trained[-1] | expected_identity(
        task.engine, task.device, task.precision, task.threads, here=not away
    )
    parts = []
    for name, value in expected.items():
        others = [by.get(name) for by in trained if by.get(name) != value]
        if others:
            parts.append(f"{name} {others[0]}, now {value}")
    return "; ".join(parts)


def _pool(tasks: Sequence[Task], jobs: int | None, cluster: str | None) -> AbstractContextManager[Pool]:
    first = tasks[0]
    if cluster is None:
        chosen = choose(first.engine, first.device, first.precision).engine
        job_bytes = max(least_bytes(chosen, task.recipe) for task in tasks)
        return local_processes(len(tasks), jobs, first.threads, job_bytes)
    from under20k.runs.parallel.dask import dask_workers  # an extra, which not everyone has

    return dask_workers(cluster, first.engine, first.device, first.threads, first.data_dir, first.precision)


def _train_missing(tasks: Sequence[Task], watcher: Watcher, pool: Pool, same_code: bool) -> list[Failure]:
    """Have a pool train the tasks; what failed.

    What another process trains is left for last, and taken as it is when that is done with it.
    """
    done: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
    attempts = dict.fromkeys(range(len(tasks)), 0)
    going = set(attempts)
    elsewhere: dict[int, float] = {}  # when to look again
    failures = []

    def submit(index: int) -> None:
        attempts[index] += 1
        future = pool.executor.submit(
            perform, index, tasks[index], pool.tell, command() if pool.away else None
        )
        future.add_done_callback(lambda future: done.put((index, future)))

    def fail(index: int, reason: str) -> None:
        going.discard(index)
        failures.append(Failure(tasks[index], reason))
        watcher.on_failure(failures[-1])

    def take(index: int, run: Run) -> None:
        going.discard(index)
        watcher.on_done(tasks[index], run)

    for index in attempts:
        submit(index)
    while going:
        try:
            ended = [done.get(timeout=POLL_S)]
            while not done.empty():
                ended.append(done.get())
        except Empty:
            ended = []
        # What a local worker told is there before it is done; a cluster's words may come late, or never.
        for kind, index, *values in pool.heard():
            if index in going:
                _pass_on(watcher, kind, tasks[index], values)
        for text in pool.news():
            watcher.on_news(text)
        for index in [index for index, due in elsewhere.items() if monotonic() >= due]:
            try:
                run = of_another(tasks[index], same_code, away=pool.away)
            except InUse:
                elsewhere[index] = monotonic() + LOOK_S
                continue
            except UserError as unfit:
                fail(index, str(unfit))
            else:
                if run is None:
                    submit(index)
                else:
                    take(index, run)
            del elsewhere[index]
        for index, future in ended:
            task = tasks[index]
            if future.cancelled():
                raise pool.lost()
            error = future.exception()
            if error is None:
                try:
                    if pool.away:
                        adopt(task, future.result())
                    run = Run.open(task.path)
                except UserError as unfit:
                    error = unfit
                else:
                    take(index, run)
                    continue
            if isinstance(error, InUse):
                attempts[index] -= 1
                elsewhere[index] = monotonic() + LOOK_S
                watcher.on_news(f"{task.label} is trained by another process: left for last")
            elif isinstance(error, pool.crash):
                if attempts[index] < ATTEMPTS:
                    watcher.on_retry(task)
                    submit(index)
                    continue
                if isinstance(error, DiedInStart):
                    fail(index, str(error))
                else:
                    fail(index, f"its process was ended from outside {ATTEMPTS} times (too little memory?)")
            elif isinstance(error, NoMainGuard):  # the same for every task
                raise error
            elif isinstance(error, UserError):
                fail(index, str(error))
            elif isinstance(error, Exception):  # of one seed: the others are kept
                fail(index, unforeseen(error))
            else:
                raise error
    return failures


def of_another(task: Task, same_code: bool, *, away: bool) -> Run | None:
    """The finished run that another process has left in a task's folder; None where it is not finished.

    Nor what an ``overwrite`` is to replace. Raises InUse while it trains, and UserError where the run is of
    another recipe, or, with ``same_code``, by other code or another engine.
    """
    with lock(task.path):
        if (run := finished(task)) and same_code and (differing := differences(task, run, away=away)):
            if task.overwrite:
                return None
            raise UserError(f"{task.path} was trained otherwise by another process meanwhile ({differing})")
        return run


def _pass_on(watcher: Watcher, kind: str, task: Task, values: Sequence[Any]) -> None:
    if kind == "on_start":
        session, metrics = values
        watcher.on_start(task, session, [EpochMetrics(**epoch) for epoch in metrics])
    elif kind == "on_teacher":
        watcher.on_teacher(task, values[0], EpochMetrics(**values[1]))
    elif kind == "on_epoch":
        watcher.on_epoch(task, EpochMetrics(**values[0]))
    else:
        watcher.on_step(task, values[0])


def perform(
    index: int, task: Task, tell: Callable[[Message], None], away_command: str | None
) -> dict[str, bytes] | None:
    """What a worker does for a task. With ``away_command``, the command to record, it trains in a folder of
    its own and returns the run's files.
    """
    options: dict[str, Any] = {
        "engine": task.engine,
        "device": task.device,
        "precision": task.precision,
        "threads": task.threads,
        "data_dir": task.data_dir,
        "observer": _Reporter(index, tell),
    }
    if away_command is None:
        options |= {"overwrite": True} if task.overwrite else {"resume": True}
        train(task.recipe, task.seed, runs_dir=task.runs_dir, **options)
        return None
    with tempfile.TemporaryDirectory(prefix="under20k-") as scratch:
        run = train(task.recipe, task.seed, runs_dir=scratch, command_line=away_command, **options)
        return {name: path.read_bytes() for name in FILES if (path := run.path / name).is_file()}


def adopt(task: Task, files: Mapping[str, bytes]) -> None:
    """Put a run's files, trained elsewhere, into the task's folder; one that is finished there stays."""
    with lock(task.path):
        if not task.overwrite and finished(task):
            return
        remove_teachers(task.path)  # of an attempt here; those that taught it stay where it was trained
        # As in Run.create: the model goes first and comes last but the report.
        for name in reversed(FILES):
            remove(task.path / name)
        for name in FILES:
            if name in files:
                write_bytes(task.path / name, files[name])


class _Reporter:
    """Passes what happens in a worker on."""

    def __init__(self, index: int, tell: Callable[[Message], None]) -> None:
        self.index, self.tell = index, tell
        self.told = 0.0

    def on_start(self, run: Run, engine: Engine) -> None:
        self.tell(("on_start", self.index, run.session, [asdict(epoch) for epoch in epochs_done(run)]))

    def on_step(self, images_done: int) -> None:
        if monotonic() - self.told >= STEP_S:
            self.told = monotonic()
            self.tell(("on_step", self.index, images_done))

    def on_epoch(self, metrics: EpochMetrics) -> None:
        self.tell(("on_epoch", self.index, asdict(metrics)))

    def teacher(self, number: int) -> _TeacherReporter:
        return _TeacherReporter(self, number)


class _TeacherReporter(Silent):
    """Passes on that a worker is done with a teacher."""

    def __init__(self, reporter: _Reporter, number: int) -> None:
        self.reporter, self.number = reporter, number

    def on_start(self, run: Run, engine: Engine) -> None:
        self.epochs = run.recipe.epochs

    def on_step(self, images_done: int) -> None:
        self.reporter.on_step(0)  # of the pupil's, but whoever ends the training does so when it is told

    def on_epoch(self, metrics: EpochMetrics) -> None:
        if metrics.epoch == self.epochs:
            self.reporter.tell(("on_teacher", self.reporter.index, self.number, asdict(metrics)))
