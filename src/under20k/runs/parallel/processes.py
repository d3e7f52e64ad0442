"""Trainings on processes of this machine: one process each, so that one that dies takes no other with it.

A process does one call after the other and speaks with its parent through a pipe of its own. There is no
lock, queue or semaphore that a killed process could leave held, and nothing that Python waits for at its
exit: so ending everything is to kill the processes, at any moment. Systems without semaphores will do; where
a program may start no processes, the trainings run in its own, one after the other.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any

from under20k.errors import UserError, in_words, unforeseen

POLL_S = 0.1
JOIN_S = 1.0  # for a killed process to be gone
EXIT_S = 5.0  # for the exit code of a process whose pipe has ended
BEGUN, TOLD, DONE, FAILED = "begun", "told", "done", "failed"
WORKER = "under20k-worker"  # what our processes are called
NO_GUARD = 78  # their exit code where the script that they import trains
GUARD = 'put what it does under `if __name__ == "__main__":`'


class NoMainGuard(UserError):
    """A script that starts processes does so again when they import it."""


class ProcessDied(Exception):
    """A process ended before the call that it was doing."""


class DiedInStart(ProcessDied):
    """A process ended before it could take a call; the message says how."""


class SeparateProcesses(Executor):
    """So many processes, started when they are needed, each with a thread here that waits for it.

    A call whose process dies raises ProcessDied; the next one gets a new process.
    """

    def __init__(self, count: int) -> None:
        # Fresh interpreters: a fork would inherit threads of libraries that do not survive it.
        self._context = multiprocessing.get_context("spawn")
        self._calls: SimpleQueue[tuple[Future[Any], Any] | None] = SimpleQueue()
        self._reports: SimpleQueue[Any] = SimpleQueue()
        self._starting = threading.Lock()
        self._processes: list[BaseProcess] = []
        self._ended = False
        self._count = count
        if os.name != "nt":
            # Now, and in a block of its own: what starts it lets Ctrl-C through afterwards.
            with interrupts_held(), starting_in_words():
                multiprocessing.resource_tracker.ensure_running()
        with interrupts_held():
            for _ in range(count):
                threading.Thread(target=self._serve, daemon=True).start()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, (work, args, kwargs)))
        return future

    def reported(self) -> list[Any]:
        """Return what calls have told since the last time; of a call that is done, all of it."""
        return [self._reports.get() for _ in range(self._reports.qsize())]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Kill every process, whatever it does; calls that wait for their turn are cancelled."""
        with self._starting:
            self._ended = True
            processes = list(self._processes)
        for process in processes:
            process.kill()
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                break
            if call is not None:
                call[0].cancel()
        for _ in range(self._count):
            self._calls.put(None)
        for process in processes:
            process.join(JOIN_S)

    def _serve(self) -> None:
        """A thread's life: one call after the other, on a process of its own."""
        process, connection = None, None
        while (call := self._calls.get()) is not None:
            future, work = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if connection is None:
                    process, connection = self._start()
                result = self._done(connection, work)
            except BaseException as error:
                if isinstance(error, ProcessDied):
                    if connection is not None:
                        connection.close()
                    if process is not None:
                        process.join(JOIN_S)
                    connection = None
                future.set_exception(error)
            else:
                future.set_result(result)

    def _start(self) -> tuple[BaseProcess, Connection]:
        """A new process, ready for calls, and the pipe to it.

        Raises ProcessDied where none may start any more, DiedInStart where it ends before it is ready,
        NoMainGuard where that is for want of one, UserError where the system starts no process.
        """
        with self._starting, starting_in_words():
            if self._ended:
                raise ProcessDied
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs,), name=WORKER, daemon=True)
            try:
                process.start()
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()  # so that the pipe ends with the process
            self._processes.append(process)
        try:
            ours.recv()
        except (EOFError, OSError):
            ours.close()
            raise _died_in_start(_exit_code(process)) from None
        return process, ours

    def _done(self, connection: Connection, work: Any) -> Any:
        """What a process gives for a call. Raises ProcessDied, or a UserError for what the call raises."""
        try:
            connection.send(work)
            while True:
                kind, value = connection.recv()
                if kind != TOLD:
                    break
                self._reports.put(value)
        except (EOFError, OSError) as error:
            raise ProcessDied from error
        if kind == FAILED:
            kind_of_error, words = value
            raise kind_of_error(words)
        return value


@contextmanager
def starting_in_words() -> Iterator[None]:
    """Raise UserError where the block gets OSError, since the system starts no process."""
    try:
        yield
    except OSError as error:
        raise UserError(f"a process cannot be started: {in_words(error)}; give fewer with --jobs") from None


def _exit_code(process: BaseProcess) -> int | None:
    """Of a process that has ended; None where the system does not tell."""
    deadline = monotonic() + EXIT_S
    process.join(EXIT_S)
    # Another thread, which looks after all processes when it starts one, may have been told but not yet
    # have noted it.
    while process.exitcode is None and monotonic() < deadline:
        sleep(POLL_S)
    return process.exitcode


def _died_in_start(code: int | None) -> Exception:
    """What to raise for a process that has ended with this exit code before its first call."""
    script = _main_script()
    if code == NO_GUARD:
        return NoMainGuard(f"trainings run in processes that import {script or 'the script'} again: {GUARD}")
    how = f"by signal {-code}" if code and code < 0 else f"with exit code {code}"
    hint = f"; it imports {script}, so {GUARD}" if script and code == 1 else ""  # an exception's code
    return DiedInStart(f"its process ended as it started, {how}{hint}")


def end_if_only_imported() -> None:
    """End this process where it is one of ours that starts, and imports the script that has started it.

    Without a main guard the script would train there, and start processes, again. The exit code tells its
    parent.
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


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C and a hang-up back for the time of the block, and for good from the threads and processes
    it starts.

    They reach every process of the terminal, but this one alone decides, and ends the workers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_parent: Connection | None = None


def tell_parent(value: Any) -> None:
    """Send a value to the process that started this worker, whose executor has it in ``reported``."""
    assert _parent is not None
    _send(_parent, TOLD, value)


def _work(connection: Connection) -> None:
    """A worker process: one call after the other, until its parent ends it or ends."""
    for name in ("SIGINT", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _parent
    _parent = connection
    _send(connection, BEGUN, None)
    while True:
        try:
            work, args, kwargs = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        try:
            kind, value = DONE, work(*args, **kwargs)
        except BaseException as error:
            # Others than ours, which can all be pickled, go in words.
            ours = isinstance(error, UserError)
            words = str(error) if ours else unforeseen(error)
            kind, value = FAILED, (type(error) if ours else UserError, words)
        _send(connection, kind, value)


def _send(connection: Connection, kind: str, value: Any) -> None:
    try:
        connection.send((kind, value))
    except OSError:  # nobody is left to tell
        os._exit(1)


def _end_with_parent() -> None:
    """End this process when its parent is killed: nobody waits for it, and the next call needs its folder."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
