"""Many trainings at once, on processes of a few threads each: the fastest layout for networks this small."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from under20k.api import epochs_done, train
from under20k.engine import available_cores
from under20k.engine.protocol import Engine
from under20k.errors import UserError
from under20k.metrics import EpochMetrics
from under20k.recipe import Recipe
from under20k.run import Run, run_path

POLL_S = 0.1


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

    @property
    def path(self) -> Path:
        return run_path(self.runs_dir, self.recipe.name, self.seed)


class Watcher(Protocol):
    """Someone who watches many trainings; every call comes from the thread that called ``train_all``."""

    def on_reuse(self, run: Run) -> None:
        """A run was finished before and is taken as it is."""

    def on_begin(self, tasks: Sequence[Task], jobs: int) -> None:
        """These are to be trained, so many at a time; not called where there are none."""

    def on_start(self, task: Task, run: Run, metrics: Sequence[EpochMetrics]) -> None:
        """A process begins a training, or goes on with it after so many epochs."""

    def on_step(self, task: Task, images_done: int) -> None:
        """So many images of the task's running epoch are done."""

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None:
        """An epoch of a task is done and on disk."""


class Unwatched:
    """A ``Watcher`` that looks away."""

    def on_reuse(self, run: Run) -> None: ...

    def on_begin(self, tasks: Sequence[Task], jobs: int) -> None: ...

    def on_start(self, task: Task, run: Run, metrics: Sequence[EpochMetrics]) -> None: ...

    def on_step(self, task: Task, images_done: int) -> None: ...

    def on_epoch(self, task: Task, metrics: EpochMetrics) -> None: ...


def train_all(tasks: Sequence[Task], watcher: Watcher, *, jobs: int | None = None) -> list[Run]:
    """Train every task and return their runs, in the order of the tasks.

    Runs that are finished are reused, unfinished ones go on. ``jobs`` processes at a time, by default as many
    as the cores hold at the tasks' number of threads. Raises UserError for the first task that fails; what
    is finished is kept.
    """
    runs = {task.path: run for task in tasks if (run := finished(task))}
    for run in runs.values():
        watcher.on_reuse(run)
    missing = [task for task in tasks if task.path not in runs]
    if missing:
        jobs = jobs or max(1, available_cores() // missing[0].threads)
        jobs = min(jobs, len(missing))
        watcher.on_begin(missing, jobs)
        with workers(jobs) as (executor, messages):
            with interrupts_held():
                futures = [executor.submit(_train, index, task) for index, task in enumerate(missing)]
            running = set(futures)
            while running:
                _, running = wait(running, POLL_S)
                _pass_on(messages, missing, watcher)
                _raise_first(futures)
    return [Run.open(task.path) for task in tasks]


def finished(task: Task) -> Run | None:
    """The finished run of a task, report and all, if any. Raises UserError where another takes its place."""
    # The report comes last: a kill between the two leaves a run that lacks it.
    if not all((task.path / name).is_file() for name in ("model.safetensors", "report.md")):
        return None
    run = Run.open(task.path)
    if run.recipe != task.recipe or run.seed != task.seed:
        raise UserError(
            f"{task.path} holds a run of another recipe or seed; move it, "
            "or name another folder with --runs-dir"
        )
    return run


@contextmanager
def workers(count: int) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """So many processes, and the queue of what they tell; ended at once if the block fails."""
    # Fresh interpreters: a fork would inherit threads of libraries that do not survive it.
    context = multiprocessing.get_context("spawn")
    # Written by the worker itself, not by a thread of its own: what it told is there before it is done.
    messages = context.SimpleQueue()
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(count, context, _begin, (messages,))
    try:
        yield executor, messages
    except BaseException:
        # Each has its last epoch on disk; waiting for the running ones would take minutes.
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        executor.shutdown(cancel_futures=True)
        raise
    finally:
        executor.shutdown()
        messages.close()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for the time of the block, and for good from the processes that it starts.

    Ctrl-C reaches every process of the terminal, but this one alone decides, and ends the workers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_messages: Any = None


def _begin(messages: Any) -> None:
    """Prepare a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _messages
    _messages = messages


def _end_with_parent() -> None:
    """End this process when its parent is killed: nobody waits for it, and the next call needs its folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _train(index: int, task: Task) -> None:
    """What a worker does for a task."""
    train(
        task.recipe,
        task.seed,
        runs_dir=task.runs_dir,
        resume=True,
        engine=task.engine,
        device=task.device,
        threads=task.threads,
        data_dir=task.data_dir,
        observer=_Reporter(index),
    )


class _Reporter:
    """Passes what happens in a worker on to the parent process."""

    def __init__(self, index: int) -> None:
        self.index = index

    def on_start(self, run: Run, engine: Engine) -> None:
        _messages.put(("on_start", self.index, run, epochs_done(run)))

    def on_step(self, images_done: int) -> None:
        _messages.put(("on_step", self.index, images_done))

    def on_epoch(self, metrics: EpochMetrics) -> None:
        _messages.put(("on_epoch", self.index, metrics))


def _pass_on(messages: Any, tasks: Sequence[Task], watcher: Watcher) -> None:
    """Hand on what the workers have told since the last time."""
    while not messages.empty():
        kind, index, *values = messages.get()
        getattr(watcher, kind)(tasks[index], *values)


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Raise what ended the first future that failed."""
    for future in futures:
        if future.done() and (error := future.exception()):
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a training process was ended from outside (too little memory?); what is done is kept: "
                    "call again to go on, with fewer at a time by --jobs 1"
                )
            raise error
