"""Limits on the time and memory of models, and an end to the processes that they leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
FILE_LIMIT_BYTES = 64 * 2**20
"""For one file in the scratch folder, such as a cache of a package."""


def adopt_orphans() -> None:
    """Adopt processes that a model leaves running, so that ``end_children`` can kill them (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have this process killed when its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_children(rounds: int = 1000) -> None:
    """Kill every child, and the processes they leave, until none remain or ``rounds`` pass (Linux)."""
    for _ in range(rounds):
        if not (children := _children()):
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    except OSError:
        return []
    return [int(pid) for text in lists for pid in text.split()]


def limit(memory_bytes: int) -> None:
    """Allow ``memory_bytes`` more memory than now, no large file, no core dump; where limits exist."""
    import resource

    limits = {resource.RLIMIT_DATA: memory_bytes, resource.RLIMIT_CORE: 0}
    limits[resource.RLIMIT_FSIZE] = FILE_LIMIT_BYTES
    with contextlib.suppress(OSError, ValueError):  # shared memory does not count as data
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = now + memory_bytes
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


class TooLong(BaseException):
    """The time limit is over."""


@contextlib.contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Raise TooLong in the body after ``limit_s`` seconds, and again each second.

    There is no limit on Windows, and in other threads than the first, which signals do not reach.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    active = True

    def ring(number: int, frame: Any) -> None:
        if active:
            raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s, 1)
    try:
        yield
    finally:
        active = False  # first: it may ring on the way out
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
