"""A Python audit hook that refuses forbidden acts of a model's code.

A refused operation raises an ordinary PermissionError at its line, so code that handles it continues.
Installed packages may, while they are being imported, do what imports do: read any file and start a process.

The hook lives in the process that it watches, so code that sets out to can get past it; ``jail`` holds then.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from under20k.checking.ownership import Ownership, folder_of, installed_folders
from under20k.checking.sandbox.file_access import CHANGES, SYSTEM, refused_change, refused_open

MAX_REFUSALS = 1000
"""A process that is refused this often does not handle the errors, and is killed."""
EVENTS = {
    **dict.fromkeys(
        (
            *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
            *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "urllib.Request"),
        ),
        "use the network",
    ),
    **dict.fromkeys(
        (
            *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
            *("os.spawn", "os.startfile"),
        ),
        "start a process",
    ),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "signal a process"),
}
"""Audit events that are refused whatever their arguments, and the act in words."""


class Refused(PermissionError):
    """An act that the hook does not allow."""

    act = ""
    """Such as ``write the file train.log``."""


class AuditHook:
    """The audit hook of this process; there is one, since none can be removed.

    It is off until ``imports`` or ``model`` is called; a fork inherits its state.
    """

    def __init__(self, scratch: str) -> None:
        self.refusals: list[tuple[str, str, int]] = []
        """Acts of the student's code, each with the file and line that it came from."""
        self._mode = ""
        # Bound now: a model may replace attributes of modules.
        self._refused_open, self._refused_change, self._origin = refused_open, refused_change, _origin
        self._events, self._changing = dict(EVENTS), frozenset(CHANGES)
        self._installed = installed_folders()
        self._scratch = folder_of(scratch)
        self._readable: tuple[str, ...] = ()
        self._ownership = Ownership(())
        self._end: Callable[[str], Any] = lambda act: None
        self._leave = os._exit
        sys.addaudithook(self._hook)

    def off(self) -> None:
        """Allow everything: our own code runs."""
        self._mode = ""

    def imports(self) -> None:
        """Allow the operations of imports: installed packages are imported."""
        self._mode = "imports"

    def model(
        self, ownership: Ownership, folders: Iterable[str], scratch: str, end: Callable[[str], Any]
    ) -> None:
        """Watch a student's code.

        Args:
            ownership: tells the student's files from all others.
            folders: of the student's files, which may be read.
            scratch: folder below which files may be written.
            end: ends the process with the given reason, called after MAX_REFUSALS refusals.
        """
        self._ownership = ownership
        below = map(folder_of, [sys.prefix, sys.base_prefix, *filter(None, sys.path), *folders])
        itself = f"/proc/{os.getpid()}/"
        windows = filter(None, [os.environ.get("SYSTEMROOT")])
        self._readable = (*SYSTEM, itself, *map(folder_of, windows), *below, self._scratch)
        self._scratch = folder_of(scratch)
        self._end = end
        self._mode = "model"

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._mode:
            return
        if event == "open":
            act, privileged = self._refused_open(arguments, self._scratch, self._readable, self._installed)
        elif event in self._changing:
            act, privileged = self._refused_change(event, arguments, self._scratch), False
        elif event in self._events:
            act = self._events[event]
            privileged = act == "start a process"
        else:
            return
        if not act:
            return
        if privileged and self._mode == "imports":
            return
        imported, file, line = self._origin(self._ownership)
        if privileged and imported:
            return
        self.refusals.append((act, file, line))
        if len(self.refusals) > MAX_REFUSALS:
            try:
                self._end(f"it tried {MAX_REFUSALS:,} times to {act} or the like")
            finally:
                self._leave(1)
        refused = Refused(f"a model that is checked may not {act}")
        refused.act = act
        raise refused


def _origin(ownership: Ownership) -> tuple[bool, str, int]:
    """Return whether an installed module that is being imported acts, else the student's file and line.

    The innermost frame that is either the student's or the import system's decides. The import system's
    counts if a module of an installed package runs inside it, or if it reads a file by itself.
    """
    frame: types.FrameType | None = sys._getframe(2)
    module, direct = False, True
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            if module or direct:
                return True, "", 0
        elif ownership.is_authors(name):
            return False, name, frame.f_lineno
        elif not name.startswith("<"):
            direct = False
            module = module or (frame.f_code.co_name == "<module>" and ownership.is_installed(name))
        frame = frame.f_back
    return False, "", 0
