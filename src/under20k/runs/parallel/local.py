"""The backend of this machine: a process for each training that runs at a time."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from under20k.engine import machine
from under20k.runs.events import Event
from under20k.runs.parallel.processes import (
    ProcessDied,
    SeparateProcesses,
    end_if_only_imported,
    tell_parent,
)
from under20k.runs.parallel.task import Backend, Task, perform
from under20k.runs.run import Run


class LocalProcesses:
    """A ``Backend`` of processes."""

    retryable = (ProcessDied,)

    def __init__(self, executor: SeparateProcesses, jobs: int, limit: str) -> None:
        self.executor = executor
        self.where = f"{jobs} at a time{f' ({limit})' if limit else ''}"

    def submit(self, task: Task) -> Future[None]:
        """Train a task when a process is free."""
        return self.executor.submit(perform, task, tell_parent)

    def events(self) -> list[Event]:
        """Return what the processes have reported since the last call."""
        return self.executor.reported()

    def collect(self, task: Task, future: Future[None]) -> Run:
        """Return the run that a process has trained."""
        future.result()
        return Run.open(task.path)


class ThisProcess:
    """A ``Backend`` of a thread of this process, for programs that may have no other."""

    retryable = ()

    def __init__(self, why: str) -> None:
        self.where = f"one after the other in this process: {why}"
        self._executor = ThreadPoolExecutor(1)
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._stopping = threading.Event()

    def submit(self, task: Task) -> Future[None]:
        """Train a task after those before it."""
        return self._executor.submit(perform, task, self._report)

    def events(self) -> list[Event]:
        """Return what has happened since the last call."""
        return [self._events.get() for _ in range(self._events.qsize())]

    def collect(self, task: Task, future: Future[None]) -> Run:
        """Return the run that was trained."""
        future.result()
        return Run.open(task.path)

    def close(self, *, now: bool) -> None:
        """Wait for the training that runs; with ``now``, end it at its next event. No other begins."""
        if now:
            self._stopping.set()
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor.shutdown()

    def _report(self, event: Event) -> None:
        if self._stopping.is_set():
            raise Stopped
        self._events.put(event)


class Stopped(BaseException):
    """Ends a training in ``ThisProcess``: a thread cannot be ended from outside."""


@contextmanager
def local_backend(tasks: int, jobs: int | None, threads: int, job_bytes: int) -> Iterator[Backend]:
    """Give the block a backend of this machine; its processes end at once with the block, however that ends.

    Where a program may start no processes, its own takes their place.

    Args:
        tasks: how many there are.
        jobs: processes; by default as many as the cores and the memory hold.
        threads: of each task.
        job_bytes: memory of each task.
    """
    end_if_only_imported()
    if why := why_in_this_process():
        here = ThisProcess(why)
        try:
            yield here
        except BaseException:
            here.close(now=True)
            raise
        here.close(now=False)
        return
    jobs, limit = (min(jobs, tasks), "") if jobs else fitting_jobs(tasks, threads, job_bytes)
    executor = SeparateProcesses(jobs)
    try:
        yield LocalProcesses(executor, jobs, limit)
    finally:
        # Each has its last epoch on disk; waiting for the running ones would take minutes.
        executor.shutdown()


def why_in_this_process() -> str:
    """Return why no processes can be started here; empty where they can."""
    if multiprocessing.current_process().daemon:
        return "it is a daemonic process of multiprocessing, which may start no others"
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not os.path.exists(file):
        return f"others would import its program, {file}, which is no file"
    return ""


def fitting_jobs(tasks: int, threads: int, job_bytes: int) -> tuple[int, str]:
    """Return how many of the tasks to run at a time, and what keeps it below what the machine's own cores and
    memory hold, if anything does.

    Args:
        tasks: how many there are.
        threads: of each task.
        job_bytes: memory of each task.
    """
    available, memory = machine.cores(), machine.memory()
    jobs, limit = available.amount // threads, available.limit
    if memory is not None and memory.amount // job_bytes < jobs:
        jobs = memory.amount // job_bytes
        limit = f"{machine.size_text(memory.amount)} of memory{f', {memory.limit}' if memory.limit else ''}"
    return (tasks, "") if tasks <= jobs else (max(1, jobs), limit)
