"""The backend of this machine: a process for each training that runs at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from under20k.runs.events import Event
from under20k.runs.parallel.layout import Layout
from under20k.runs.parallel.processes import (
    ProcessDied,
    SeparateProcesses,
    tell_parent,
)
from under20k.runs.parallel.task import Backend, Task, perform
from under20k.runs.run import Run


class LocalProcesses:
    """A ``Backend`` of processes."""

    retryable = (ProcessDied,)

    def __init__(self, executor: SeparateProcesses, where: str) -> None:
        self.executor = executor
        self.where = where

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

    def __init__(self, where: str) -> None:
        self.where = where
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
def local_backend(layout: Layout) -> Iterator[Backend]:
    """Give the block a backend of this machine; its processes end with the block, however that ends."""
    if not layout.processes:
        here = ThisProcess(layout.where)
        try:
            yield here
        except BaseException:
            here.close(now=True)
            raise
        here.close(now=False)
        return
    executor = SeparateProcesses(layout.jobs)
    try:
        yield LocalProcesses(executor, layout.where)
    finally:
        # Each has its last epoch on disk; waiting for the running ones would take minutes.
        executor.shutdown()
