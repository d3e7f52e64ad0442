"""An executor of worker processes that can be killed at any time.

A worker performs one call after the other and has a pipe of its own to its parent, so one that dies takes no
other with it. There is no lock, queue or semaphore that a killed worker could leave held, and nothing that
Python waits for at exit.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.resource_tracker
import multiprocessing.spawn
import os
import signal
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

WORKER = "under20k-worker"
"""Name of the processes that train."""
POLL_S = 0.1
JOIN_S = 1.0  # for a killed process to end
EXIT_S = 5.0  # for the exit code of a process whose pipe is closed
BEGUN, TOLD, DONE, FAILED = "begun", "told", "done", "failed"


class ProcessDied(Exception):
    """A worker ended before its call did."""


class DiedInStart(ProcessDied):
    """A worker ended before it could take a call; the message says how."""


class SeparateProcesses(Executor):
    """Up to ``count`` workers, started when needed, each served by a thread of this process.

    A call whose worker dies raises ProcessDied; the next one gets a new worker.
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
            # In a block of its own, since starting the tracker unblocks Ctrl-C.
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
        """Return what workers have reported since the last call; of a call that has ended, everything."""
        return [self._reports.get() for _ in range(self._reports.qsize())]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Kill every worker, busy or not; calls that have not begun are cancelled."""
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
        """Perform one call after the other on a worker; the main loop of a thread."""
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
        """Start a worker, and return it and the pipe to it.

        Raises ProcessDied after ``shutdown``, DiedInStart if it ends before it is ready, UserError if the
        system starts no process.
        """
        with self._starting, starting_in_words():
            if self._ended:
                raise ProcessDied
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs,), name=WORKER, daemon=True)
            try:
                with script_not_imported():
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
        """Return the result of a call. Raises ProcessDied, or a UserError for what the call raises."""
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
    """Turn the block's OSError, where the system starts no process, into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"a process cannot be started: {in_words(error)}; give fewer with --jobs") from None


def _exit_code(process: BaseProcess) -> int | None:
    """Return the exit code of a process that has ended; None if the system does not report it."""
    deadline = monotonic() + EXIT_S
    process.join(EXIT_S)
    # Another thread may have collected the exit code, as starting a process does for all, but not stored it.
    while process.exitcode is None and monotonic() < deadline:
        sleep(POLL_S)
    return process.exitcode


def _died_in_start(code: int | None) -> DiedInStart:
    """Return the exception for a worker that ended with this exit code before its first call."""
    how = f"by signal {-code}" if code and code < 0 else f"with exit code {code}"
    return DiedInStart(f"its process ended as it started, {how}")


_telling = threading.Lock()


@contextmanager
def script_not_imported() -> Iterator[None]:
    """Keep the workers that the block starts from importing the script that starts them, as others do.

    Without a main guard it would train again in each of them. What a worker performs lies in this package.
    """
    told = multiprocessing.spawn.get_preparation_data

    def without_script(name: str) -> dict[str, Any]:
        data = told(name)
        if name == WORKER:  # another thread may be starting a process of its own
            for key in ("init_main_from_name", "init_main_from_path"):
                data.pop(key, None)
        return data

    with _telling:
        multiprocessing.spawn.get_preparation_data = without_script
        try:
            yield
        finally:
            multiprocessing.spawn.get_preparation_data = told


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block Ctrl-C and hang-ups during the block, and for good in the threads and processes it starts.

    They reach every process of the terminal, but only this one handles them, and ends the workers.
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
    """Report a value to the process that started this worker (``SeparateProcesses.reported``)."""
    assert _parent is not None
    _send(_parent, TOLD, value)


def _work(connection: Connection) -> None:
    """Perform one call after the other, until the parent ends, or ends this worker."""
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
            # Our exceptions can all be pickled; of others, only the text is sent.
            ours = isinstance(error, UserError)
            words = str(error) if ours else unforeseen(error)
            kind, value = FAILED, (type(error) if ours else UserError, words)
        _send(connection, kind, value)


def _send(connection: Connection, kind: str, value: Any) -> None:
    try:
        connection.send((kind, value))
    except OSError:  # the parent has gone
        os._exit(1)


def _end_with_parent() -> None:
    """End this process when its parent dies: nobody waits for it, and its run folder stays locked."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
