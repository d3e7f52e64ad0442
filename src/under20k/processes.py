"""Trainings on processes of this machine: one process each, so that one that dies takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from under20k import machine
from under20k.errors import UserError
from under20k.pool import Message

POLL_S = 0.1


class LocalProcesses:
    """A ``pool.Pool`` of so many processes."""

    away = False
    crash = (BrokenProcessPool,)

    def __init__(self, executor: Executor, messages: Any, jobs: int, limit: str) -> None:
        self.executor = executor
        self.where = f"{jobs} at a time{f' ({limit})' if limit else ''}"
        self._messages = messages

    @property
    def tell(self) -> Callable[[Message], None]:
        return tell_parent

    def heard(self) -> list[Message]:
        found = []
        while not self._messages.empty():
            found.append(self._messages.get())
        return found

    def lost(self) -> UserError:
        return UserError("the trainings were cancelled; what is done is kept: call again to go on")

    def news(self) -> list[str]:
        return []


class SeparateProcesses(Executor):
    """So many processes, each in an executor of its own.

    When a process dies, ``ProcessPoolExecutor`` fails every call that it has: here that is the one that ran
    in it. The next call gets a new process.
    """

    def __init__(self, count: int, new: Callable[[], ProcessPoolExecutor]) -> None:
        self._threads = ThreadPoolExecutor(count)
        self._new = new
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
        self._futures: list[Future[Any]] = []
        for _ in range(count):
            self._idle.put(new())

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._futures.append(self._threads.submit(self._in_process, work, *args, **kwargs))
        return self._futures[-1]

    def busy(self, timeout_s: float) -> bool:
        """Whether any call is left after so many seconds."""
        left = [future for future in self._futures if not future.done()]  # to wait(), a cancelled one is not
        return bool(wait(left, timeout_s).not_done)

    def _in_process(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        process = self._idle.get()
        try:
            return process.submit(work, *args, **kwargs).result()
        except BrokenProcessPool:
            process.shutdown()
            process = self._new()
            raise
        finally:
            self._idle.put(process)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        while wait and not self._idle.empty():
            self._idle.get().shutdown()


def fitting_jobs(tasks: int, threads: int, job_bytes: int) -> tuple[int, str]:
    """How many of the tasks, each of so many threads and bytes, to run at a time; and what keeps it below
    what the machine's own cores and memory hold, if anything does.
    """
    available, memory = machine.cores(), machine.memory()
    jobs, limit = available.amount // threads, available.limit
    if memory is not None and memory.amount // job_bytes < jobs:
        jobs = memory.amount // job_bytes
        limit = f"{machine.size_text(memory.amount)} of memory{f', {memory.limit}' if memory.limit else ''}"
    return (tasks, "") if tasks <= jobs else (max(1, jobs), limit)


@contextmanager
def local_processes(tasks: int, jobs: int | None, threads: int, job_bytes: int) -> Iterator[LocalProcesses]:
    """Processes for so many tasks of so many threads and bytes each; ended at once if the block fails.

    ``jobs`` of them, by default as many as the cores and the memory hold.
    """
    jobs, limit = (min(jobs, tasks), "") if jobs else fitting_jobs(tasks, threads, job_bytes)
    # Fresh interpreters: a fork would inherit threads of libraries that do not survive it.
    context = multiprocessing.get_context("spawn")
    # Written by the worker itself, not by a thread of its own: what it told is there before it is done.
    messages = context.SimpleQueue()
    before = set(multiprocessing.active_children())
    executor = SeparateProcesses(jobs, lambda: ProcessPoolExecutor(1, context, _begin, (messages,)))
    try:
        yield LocalProcesses(executor, messages, jobs, limit)
    except BaseException:
        # Each has its last epoch on disk; waiting for the running ones would take minutes.
        executor.shutdown(wait=False, cancel_futures=True)
        while executor.busy(POLL_S):  # a call may only now be starting its process
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
        raise
    finally:
        executor.shutdown()
        messages.close()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for the time of the block, and for good from the threads and processes it starts.

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


def tell_parent(message: Message) -> None:
    """Tell the process that started this worker."""
    _messages.put(message)


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
