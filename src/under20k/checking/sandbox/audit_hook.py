"""A watch on what a student's code does, by Python's audit hook.

What the code may not do fails as an ordinary PermissionError at its line, so that code that copes goes on.
What the user has installed may, while it is being imported, do what imports do: read any file and start a
process. Everybody may write below the scratch folder and read Python's own files and the system's.

The hook lives in the process that it watches, so code that sets out to can get past it: ``jail`` holds then.
"""

from __future__ import annotations

import errno
import os
import site
import subprocess
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable
from typing import Any

from under20k.checking import FOLDER

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MOST_REFUSALS = 1000
"""A process that is refused so often does not cope: it is ended."""
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
"""What audit events are called where it does not matter what they are about."""
CHANGES = {
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
    "os.mkdir": (0, 2),
    "os.rename": (0, 2),
    "os.link": (1, 3),
    "os.symlink": (1, 2),
    "os.truncate": (0, None),
    "os.chmod": (0, 2),
    "sqlite3.connect": (0, None),
    "os.chown": (0, 3),
    "os.utime": (0, 3),
    "os.setxattr": (0, None),
    "os.removexattr": (0, None),
}
"""Events that change a file: which argument is its path, and which the folder that it is relative to."""
FOLLOWING = (
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "os.setxattr",
    "os.removexattr",
    "sqlite3.connect",
)
"""Those that change what a link points to."""
MOST_NESTED = 50
"""Folders in each other: removing thousands takes Python more depth than it has."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "nul", "NUL")
SYSTEM = (
    *("/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/opt/", "/sys/", "/System/", "/Library/"),
    *("/etc/ssl/", "/etc/fonts/", "/etc/localtime", "/etc/os-release", "/etc/mime.types", "/etc/ld.so"),
    *("/dev/urandom", "/dev/random", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/proc/version", "/proc/sys/", "/proc/filesystems"),
)
"""What every process reads: its own system."""


class Refused(PermissionError):
    """An act that the watch does not allow."""

    act = ""
    """What it was: ``write the file train.log``."""


class Watch:
    """The audit hook of this process; there is one, since none can be taken out again.

    It is off until ``imports`` or ``model`` is called, and inherited by a fork as it is then.
    """

    def __init__(self, scratch: str) -> None:
        self.refusals: list[tuple[str, str, int]] = []
        """Of the student's code: the act, and the file and line that it came from."""
        self._mode = ""
        # Bound now, for a model may replace what modules hold.
        self._opens, self._changes, self._origin = _opens, _changes, _origin
        self._events, self._changing = dict(EVENTS), frozenset(CHANGES)
        self._installed = installed_folders()
        self._scratch = folder_of(scratch)
        self._readable: tuple[str, ...] = ()
        self._own: tuple[str, ...] = ()
        self._places: frozenset[str] = frozenset()
        self._end: Callable[[str], Any] = lambda act: None
        self._leave = os._exit
        sys.addaudithook(self._hook)

    def off(self) -> None:
        """Watch nothing: our own code runs."""
        self._mode = ""

    def imports(self) -> None:
        """Let everything pass that imports do: installed packages are imported."""
        self._mode = "imports"

    def model(
        self, own: Iterable[str], places: Iterable[str], scratch: str, end: Callable[[str], Any]
    ) -> None:
        """Watch a student's code, which lies below the ``own`` folders or is called one of the ``places``.

        It may write below ``scratch``. ``end`` ends the process, with the reason, once it has been refused
        MOST_REFUSALS times.
        """
        self._places = frozenset(places)
        self._own = tuple(map(folder_of, own))
        below = map(folder_of, [sys.prefix, sys.base_prefix, *filter(None, sys.path)])
        itself = f"/proc/{os.getpid()}/"
        windows = filter(None, [os.environ.get("SYSTEMROOT")])
        self._readable = (*SYSTEM, itself, *map(folder_of, windows), *below, *self._own, self._scratch)
        self._scratch = folder_of(scratch)
        self._end = end
        self._mode = "model"

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._mode:
            return
        if event == "open":
            act, privileged = self._opens(arguments, self._scratch, self._readable, self._installed)
        elif event in self._changing:
            act, privileged = self._changes(event, arguments, self._scratch), False
        elif event in self._events:
            act = self._events[event]
            privileged = act == "start a process"
        else:
            return
        if not act:
            return
        if privileged and self._mode == "imports":
            return
        imported, file, line = self._origin(self._installed, self._own, self._places)
        if privileged and imported:
            return
        self.refusals.append((act, file, line))
        if len(self.refusals) > MOST_REFUSALS:
            try:
                self._end(f"it tried {MOST_REFUSALS:,} times to {act} or the like")
            finally:
                self._leave(1)
        refused = Refused(f"a model that is checked may not {act}")
        refused.act = act
        raise refused


def folder_of(path: str) -> str:
    """The real path with a separator at its end, so that it begins every path below it."""
    return os.path.join(os.path.realpath(path), "")


def installed_folders() -> tuple[str, ...]:
    """The folders of Python's own modules and of installed packages, as they are called and as they are."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()}
    found = {folder_of(path) for path in paths if path}
    found |= {os.path.join(os.path.abspath(path), "") for path in paths if path}
    return tuple(sorted(found))


def _origin(
    installed: tuple[str, ...],
    own: tuple[str, ...],
    places: frozenset[str],
    ours: str = FOLDER,
) -> tuple[bool, str, int]:
    """Whether an installed module that is being imported acts, else the file and line of the student's code.

    The innermost frame decides that is either the student's or the import system's. The import system's
    counts where a module of an installed package runs inside it, or where it reads a file by itself.
    """
    frame: types.FrameType | None = sys._getframe(2)
    module, direct = False, True
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            if module or direct:
                return True, "", 0
        elif name in places:
            return False, name, frame.f_lineno
        elif not name.startswith("<"):
            direct = False
            if os.path.dirname(name) == ours:
                break
            place = os.path.realpath(name)
            theirs = place.startswith(installed) or os.path.abspath(name).startswith(installed)
            if not theirs and place.startswith(own):
                return False, name, frame.f_lineno
            module = module or (theirs and frame.f_code.co_name == "<module>")
        frame = frame.f_back
    return False, "", 0


def _opens(
    arguments: tuple[Any, ...],
    scratch: str,
    readable: tuple[str, ...],
    installed: tuple[str, ...],
    devices: tuple[str, ...] = DEVICES,
    writing: int = WRITING,
    paths: Any = os.path,
) -> tuple[str, bool]:
    """What an ``open`` does that is not everybody's to do, and whether an import may."""
    path, _, flags = arguments
    if issubclass(type(path), int):  # opened already
        return "", False
    name = str.__str__(os.fsdecode(path))  # a class of the model's own could claim to equal anything
    if name in devices:
        return "", False
    place = paths.realpath(name)
    if isinstance(flags, int) and flags & writing:
        below = paths.join(place, "").startswith(scratch)  # a temporary file opens the folder itself
        return ("" if below else f"write the file {name}"), False
    if place.startswith(readable) or not paths.lexists(place):
        return "", False
    if paths.abspath(name).startswith(installed):  # which may be links to a store
        return "", False
    return f"read the file {name}", True


def _changes(event: str, arguments: tuple[Any, ...], scratch: str, paths: Any = os.path) -> str:
    """What an event does to files outside the scratch folder."""
    index, folder = CHANGES[event]
    for path in arguments[:2] if event == "os.rename" else arguments[index : index + 1]:
        if issubclass(type(path), int):
            name = _opened(int(path))
        else:
            name = str.__str__(os.fsdecode(path))
            base = arguments[folder] if folder is not None and len(arguments) > folder else -1
            if isinstance(base, int) and base >= 0 and not paths.isabs(name):
                name = paths.join(_opened(base), name)
        if event == "os.mkdir" and paths.isdir(name):
            return ""  # makedirs asks for what is there
        if event in ("os.remove", "os.rmdir") and not paths.lexists(name):
            # As where it could be written: of a read-only file system the kernel says that first.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        if event == "sqlite3.connect" and name in ("", ":memory:"):
            return ""
        # A link is changed itself, not what it points to.
        place = paths.join(paths.realpath(paths.dirname(name)), paths.basename(name))
        if event in FOLLOWING:
            place = paths.realpath(name)
        if not place.startswith(scratch):
            verb = {"os.mkdir": "make the folder", "os.remove": "remove", "os.rmdir": "remove"}.get(event)
            return f"{verb or 'change'} {name}"
        if event == "os.mkdir" and place.count(os.sep) > scratch.count(os.sep) + MOST_NESTED:
            return f"make more than {MOST_NESTED} folders in each other"
    return ""


def _opened(descriptor: int) -> str:
    """The path of an open file or folder."""
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return f"/proc/self/fd/{descriptor}"


def tell_of_native_code() -> None:
    """Have what starts a process or writes a file past Python tell the audit hook, as Python's own does."""
    import safetensors.numpy
    import safetensors.torch
    import torch

    _tell(subprocess, "_fork_exec", _starts)
    try:
        import _posixsubprocess

        _tell(_posixsubprocess, "fork_exec", _starts)
    except ImportError:  # Windows
        pass
    _tell(torch._C, "PyTorchFileWriter", _writes)
    for place in (safetensors, safetensors.numpy, safetensors.torch):
        _tell(place, "serialize_file", _writes)


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
