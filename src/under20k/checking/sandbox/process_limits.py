"""Limits on the processes that models run in, and an end to what they leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
FILE_LIMIT_BYTES = 64 * 2**20
"""The largest file that may be written: in the scratch folder, the caches of what is imported."""


def adopt_orphans() -> None:
    """Linux: what a model leaves running becomes this process's child, for ``end_children`` to end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Linux: this process is killed when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_children(rounds: int = 1000) -> None:
    """Linux: kill every child, and what they leave, until there is none (or so many rounds have passed)."""
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
    """At most ``memory_bytes`` more memory than now, no large file, no core dump; where limits exist."""
    import resource

    limits = {resource.RLIMIT_DATA: memory_bytes, resource.RLIMIT_CORE: 0}
    limits[resource.RLIMIT_FSIZE] = FILE_LIMIT_BYTES
    with contextlib.suppress(OSError, ValueError):  # shared memory is no data
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = now + memory_bytes
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
