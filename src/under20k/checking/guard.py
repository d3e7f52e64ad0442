"""Limits on the process that a stranger's model runs in, and a watch on what it does.

No jail: docs/check.md says what holds where.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = {
    "use the network": (
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
        *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "urllib.Request"),
    ),
    "start a process": (
        *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn"),
    ),
    "change files": (
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
        *("os.chmod", "os.chown", "shutil.rmtree", "shutil.move"),
    ),
    "signal a process": ("os.kill", "os.killpg", "signal.pthread_kill"),
}
"""Python's audit events, by what they are told as."""
CODE = (".py", ".pyc", ".pyi", ".so", ".pyd", ".dylib", ".dll", ".pth")
HARMLESS = (os.devnull, "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/etc/localtime")


def without_network() -> None:
    """A network namespace with nothing in it, where the system lets an ordinary process have one."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def adopt_orphans() -> None:
    """Linux: what a model leaves running becomes this process's child, for ``end_children`` to end."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Linux: this process is killed when its parent ends."""
    with contextlib.suppress(OSError, AttributeError):
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
    """So much more memory than now, no byte written to a file, no core dumped; where limits exist."""
    import resource

    limits = {resource.RLIMIT_DATA: memory_bytes, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    with contextlib.suppress(OSError, ValueError):  # shared memory is no data
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = now + memory_bytes
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def tell_of_native_code() -> None:
    """Have what starts a process or writes a file past Python tell the audit hooks, as Python's own does."""
    import _posixsubprocess

    import safetensors.numpy
    import safetensors.torch
    import torch

    _tell(_posixsubprocess, "fork_exec", _starts)
    _tell(subprocess, "_fork_exec", _starts)
    _tell(torch._C, "PyTorchFileWriter", _writes)
    for place in (safetensors, safetensors.numpy, safetensors.torch):
        _tell(place, "serialize_file", _writes)


def watch(end: Callable[[str], Any]) -> None:
    """Call ``end`` with the reason at what no model needs. An audit hook cannot be taken out again.

    Reading is for code, Python's own files and what lies below ``sys.path``.
    """
    reasons = {event: what for what, events in FORBIDDEN.items() for event in events}
    roots = tuple(
        os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix, *sys.path) if path
    )
    # Bound now, for a model may replace what modules hold.
    opens, is_folder, leave = _opens, os.path.isdir, os._exit

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        what = opens(arguments, roots) if event == "open" else reasons.get(event)
        if event == "os.mkdir" and arguments[2] == -1 and is_folder(arguments[0]):
            return  # makedirs asks for what is there
        if what:
            try:
                end(f"it tried to {what}")
            finally:
                leave(1)

    sys.addaudithook(hook)


def _opens(
    arguments: tuple[Any, ...],
    roots: tuple[str, ...],
    harmless: tuple[str, ...] = HARMLESS,
    code: tuple[str, ...] = CODE,
    writing: int = WRITING,
    real: Callable[[str], str] = os.path.realpath,
) -> str | None:
    path, _, flags = arguments
    if issubclass(type(path), int):  # opened already
        return None
    name = str.__str__(os.fsdecode(path))  # a class of the model's own could claim to equal anything
    if name in harmless:
        return None
    if isinstance(flags, int) and flags & writing:
        return f"write the file {name}"
    if name.endswith(code) or real(name).startswith(roots):
        return None
    return f"read the file {name}"


def _starts(*arguments: Any) -> None:
    sys.audit("os.fork")


def _writes(*arguments: Any) -> None:
    for path in arguments:
        if isinstance(path, str | bytes | os.PathLike):  # else what it writes, or an open file
            sys.audit("open", path, "w", WRITING)


def _tell(place: Any, name: str, tell: Callable[..., None]) -> None:
    function: Any = getattr(place, name, None)

    def told(*arguments: Any, **named: Any) -> Any:
        tell(*arguments, *named.values())
        return function(*arguments, **named)

    if function is not None:
        setattr(place, name, told)
