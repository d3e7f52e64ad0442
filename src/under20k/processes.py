"""Trainings on processes of this machine: one process each, so that one that dies takes no other with it.

Where processes cannot be had, as without semaphores, the trainings run in this one, one after the other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any

from under20k import machine
from under20k.errors import UserError
from under20k.pool import Message

POLL_S = 0.1
EXIT_S = 5.0  # for the exit code of a process that has ended
WORKER = "under20k-worker"  # what our processes are called
NO_GUARD = 78  # their exit code where the script that they import trains
GUARD = 'put what it does under `if __name__ == "__main__":`'


class NoMainGuard(UserError):
    """A script that starts processes does so again when they import it."""


class DiedInStart(BrokenProcessPool):
    """A process ended before it could take a call; the message says how."""


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

    def __init__(self, count: int, new: Callable[[], OneProcess]) -> None:
        self._threads = ThreadPoolExecutor(count)
        self._new = new
        self._idle: SimpleQueue[OneProcess] = SimpleQueue()
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
            return process.call(work, *args, **kwargs)
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


class Workers(SpawnContext):
    """Starts fresh interpreters (a fork would inherit threads of libraries that do not survive it), and keeps
    the last one.
    """

    last: SpawnProcess | None = None

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        self.last = SpawnProcess(*args, **kwargs)
        self.last.name = WORKER
        return self.last

    def exit_code(self) -> int | None:
        """Of the last one, which has ended; None where the system does not tell."""
        deadline = monotonic() + EXIT_S
        while self.last is not None:
            # Another thread waits for it too, and may have been told but not yet noted it.
            if self.last.exitcode is not None or monotonic() > deadline:
                return self.last.exitcode
            sleep(POLL_S)
        return None


class OneProcess:
    """A process, started by the first call."""

    def __init__(self, messages: Any) -> None:
        self._context = Workers()
        self._executor = ProcessPoolExecutor(1, self._context, _begin, (messages,))
        self._began = False

    def call(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What ``work`` gives there.

        Raises BrokenProcessPool where the process ends meanwhile, DiedInStart where it does before,
        NoMainGuard where that is for want of one, UserError where the system starts no process.
        """
        if not self._began:
            self._begin()
            self._began = True
        return self._executor.submit(work, *args, **kwargs).result()

    def shutdown(self) -> None:
        self._executor.shutdown()

    def _begin(self) -> None:
        try:
            self._executor.submit(os.getpid).result()
        except BrokenProcessPool:
            code = self._context.exit_code()
            script = _main_script()
            if code == NO_GUARD:
                raise NoMainGuard(
                    f"trainings run in processes that import {script or 'the script'} again: {GUARD}"
                ) from None
            how = f"by signal {-code}" if code and code < 0 else f"with exit code {code}"
            hint = f"; it imports {script}, so {GUARD}" if script and code == 1 else ""  # an exception's code
            raise DiedInStart(f"its process ended as it started, {how}{hint}") from None
        except OSError as error:
            raise UserError(
                f"a process cannot be started: {error.strerror or error}; give fewer with --jobs"
            ) from None


def end_if_only_imported() -> None:
    """End this process where it is one of ours that starts, and imports the script that has started it.

    Without a main guard the script would train there, and start processes, again. ``OneProcess`` hears of it.
    """
    process = multiprocessing.current_process()
    if process.name == WORKER and getattr(process, "_inheriting", False):
        os._exit(NO_GUARD)


def _main_script() -> str | None:
    """The script that processes import, as ``multiprocessing.spawn`` has it; None where they import none."""
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:  # of python -m, and of Windows' under20k.exe
        return None if spec.name.split(".")[-1] == "__main__" else str(spec.name)
    name = os.path.basename(getattr(main, "__file__", None) or "under20k")
    return None if name == "under20k" else name  # the command guards itself


class ThisProcess:
    """A ``pool.Pool`` of a thread of this process, for systems without more."""

    away = False
    crash = ()

    def __init__(self, why: str) -> None:
        self.executor: Executor = ThreadPoolExecutor(1)
        self.where = f"one after the other in this process: {why}"
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._stopping = threading.Event()

    @property
    def tell(self) -> Callable[[Message], None]:
        return self._tell

    def _tell(self, message: Message) -> None:
        if self._stopping.is_set():
            raise Stopped
        self._messages.put(message)

    def heard(self) -> list[Message]:
        return [self._messages.get() for _ in range(self._messages.qsize())]

    def lost(self) -> UserError:
        return UserError("the trainings were cancelled; what is done is kept: call again to go on")

    def news(self) -> list[str]:
        return []

    def stop(self) -> None:
        """End the training that runs at its next step; no other begins."""
        self._stopping.set()
        self.executor.shutdown(wait=False, cancel_futures=True)


class Stopped(BaseException):
    """Ends a training in ``ThisProcess``: a thread cannot be ended from outside."""


def why_in_this_process() -> str:
    """Why no processes can be had here; empty where they can."""
    if multiprocessing.current_process().daemon:
        return "it is a daemonic process of multiprocessing, which may start no others"
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not os.path.exists(file):
        return f"others would import its program, {file}, which is no file"
    try:
        OneProcess(Workers().SimpleQueue()).shutdown()
    except OSError as error:
        return f"it gets no semaphores ({error.strerror or error}); may it write to /dev/shm?"
    except (ImportError, NotImplementedError):
        return "this system has no semaphores for more"
    return ""


@contextmanager
def local_processes(
    tasks: int, jobs: int | None, threads: int, job_bytes: int
) -> Iterator[LocalProcesses | ThisProcess]:
    """Processes for so many tasks of so many threads and bytes each; ended at once if the block fails.

    ``jobs`` of them, by default as many as the cores and the memory hold; where none can be had, this one.
    """
    end_if_only_imported()
    if why := why_in_this_process():
        here = ThisProcess(why)
        try:
            yield here
        except BaseException:
            here.stop()
            raise
        finally:
            here.executor.shutdown()
        return
    jobs, limit = (min(jobs, tasks), "") if jobs else fitting_jobs(tasks, threads, job_bytes)
    # Written by the worker itself, not by a thread of its own: what it told is there before it is done.
    messages = Workers().SimpleQueue()
    before = set(multiprocessing.active_children())
    executor = SeparateProcesses(jobs, lambda: OneProcess(messages))
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
