"""The files that a model's code may read and change."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
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
"""Events that change a file: index of the path, and of the folder that it is relative to."""
FOLLOWING = (
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "os.setxattr",
    "os.removexattr",
    "sqlite3.connect",
)
"""The events that change what a link points to."""
MAX_NESTED = 50
"""Depth of nested folders: removing thousands exceeds Python's recursion limit."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "nul", "NUL")
SYSTEM = (
    *("/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/opt/", "/sys/", "/System/", "/Library/"),
    *("/etc/ssl/", "/etc/fonts/", "/etc/localtime", "/etc/os-release", "/etc/mime.types", "/etc/ld.so"),
    *("/dev/urandom", "/dev/random", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    *("/proc/version", "/proc/sys/", "/proc/filesystems"),
)
"""The system's files, which every process may read."""


def refused_open(
    arguments: tuple[Any, ...],
    scratch: str,
    readable: tuple[str, ...],
    installed: tuple[str, ...],
    devices: tuple[str, ...] = DEVICES,
    writing: int = WRITING,
    paths: Any = os.path,
) -> tuple[str, bool]:
    """Return what an ``open`` event does that is not allowed, or empty, and whether an import may do it.

    Args:
        arguments: of the event: path, mode, flags.
        scratch: folder below which files may be written.
        readable: beginnings of paths that may be read.
        installed: folders of installed packages, as they are called.
        devices: paths that may be read and written.
        writing: flags that mean writing.
        paths: ``os.path``; like the other defaults bound now, since a model may replace what modules hold.
    """
    path, _, flags = arguments
    if issubclass(type(path), int):  # opened already
        return "", False
    name = str.__str__(os.fsdecode(path))  # a str subclass of the model could claim to equal anything
    if name in devices:
        return "", False
    place = paths.realpath(name)
    if isinstance(flags, int) and flags & writing:
        below = paths.join(place, "").startswith(scratch)  # a temporary file opens the folder itself
        return ("" if below else f"write the file {name}"), False
    if place.startswith(readable) or not paths.lexists(place):
        return "", False
    if paths.abspath(name).startswith(installed):  # package folders may be links to a store
        return "", False
    return f"read the file {name}", True


def refused_change(event: str, arguments: tuple[Any, ...], scratch: str, paths: Any = os.path) -> str:
    """Describe the change that an event would make outside the scratch folder, or return empty."""
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
            return ""  # makedirs also asks for folders that exist
        if event in ("os.remove", "os.rmdir") and not paths.lexists(name):
            # On a read-only file system the kernel would report that first.
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
        if event == "os.mkdir" and place.count(os.sep) > scratch.count(os.sep) + MAX_NESTED:
            return f"make more than {MAX_NESTED} folders in each other"
    return ""


def _opened(descriptor: int) -> str:
    """Return the path of an open file or folder."""
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return f"/proc/self/fd/{descriptor}"
