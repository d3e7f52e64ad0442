"""Does on Linux as Windows does, where that has broken programs: for want of a Windows machine.

Below the folder that ``install`` is given, files and names are as on a disk of Windows, for everyone. What
Windows lacks is missing for the product's own modules, which also see ``os.name`` as ``nt``; Python itself
and the tests keep theirs, without which they would not run here.

Left out, so not tested by it: consoles, drive letters and backslashes in paths, ACLs, services, job objects.
"""

import builtins
import errno
import fcntl
import io
import multiprocessing
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

PRODUCT = "under20k"
ENCODING = "cp1252"  # the ANSI code page of most of Europe and America
REFUSED = re.compile(r'[<>:"|?*\x00-\x1f]')
DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in "123456789"}
MAX_PATH = 260  # with the zero at its end
MAX_FOLDER = 248  # leaves room for a name of 8.3
MISSING = {
    os: (
        *("fork", "forkpty", "killpg", "getpgid", "getpgrp", "setpgid", "setsid", "getsid"),
        *("getuid", "geteuid", "getgid", "getegid", "getgroups", "setuid", "setgid"),
        *(
            "sched_getaffinity",
            "sched_setaffinity",
            "sysconf",
            "sysconf_names",
            "getloadavg",
            "uname",
            "nice",
        ),
        *("mkfifo", "mknod", "statvfs", "fchown", "chown", "wait", "wait3", "wait4", "WNOHANG"),
        *("register_at_fork", "posix_spawn", "pipe2", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK"),
    ),
    signal: (
        *("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGCHLD", "SIGSTOP", "SIGCONT"),
        *("SIGPIPE", "SIGXCPU", "alarm", "setitimer", "pthread_sigmask", "sigwait", "pause"),
        *("SIG_BLOCK", "SIG_SETMASK", "SIG_UNBLOCK"),
    ),
}
MISSING_MODULES = {"resource", "fcntl", "pwd", "grp", "termios", "pty", "tty", "syslog"}
SHARING = "The process cannot access the file because it is being used by another process"
SYNTAX = "The filename, directory name, or volume label syntax is incorrect"

real = {
    name: getattr(os, name)
    for name in (
        *("open", "stat", "lstat", "mkdir", "rmdir", "unlink", "remove", "rename", "replace", "chmod"),
        *("scandir", "listdir", "readlink", "fsync"),
    )
}
real_open = io.open
disk = ""


def install(folder: str) -> None:
    """Turn this interpreter into one on Windows, with its disk in ``folder``."""
    global disk
    disk = os.path.realpath(folder)
    os.fsync = fsync
    os.open = os_open
    for name in ("stat", "lstat", "chmod", "scandir", "listdir", "rmdir"):
        setattr(os, name, translating(real[name]))
    os.mkdir = mkdir
    os.unlink = os.remove = unlink
    os.rename, os.replace = rename, replace
    builtins.open = io.open = file_open
    shutil._use_fd_functions = False  # Windows has none, so it removes trees by their paths
    for module, names in MISSING.items():
        lose(module, names)
    builtins.__import__ = importing(builtins.__import__)
    multiprocessing.get_context = spawn_only(multiprocessing.get_context)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(newline="\r\n")


# What the product's modules see.


def of_product(depth: int) -> bool:
    """Whether the frame so many calls above this one's caller is of the product."""
    name = sys._getframe(depth + 1).f_globals.get("__name__", "")
    return name == PRODUCT or name.startswith(f"{PRODUCT}.")


def for_product() -> bool:
    """Whether the product is who calls, itself or through the standard library's files and paths."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("pathlib", "tempfile"):
        frame = frame.f_back
    name = frame.f_globals.get("__name__", "")
    return name == PRODUCT or name.startswith(f"{PRODUCT}.")


def lose(module: ModuleType, names: tuple[str, ...]) -> None:
    """Have ``module`` lack these names for the product, and call the system nt."""

    def seen(name: str, instead: str | None) -> property:
        def get(self: ModuleType) -> Any:
            if of_product(1):
                if instead is None:
                    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
                return instead
            return self.__dict__[name]

        return property(get, lambda self, value: self.__dict__.__setitem__(name, value))

    properties = {name: seen(name, None) for name in names if hasattr(module, name)}
    if module is os:
        properties["name"] = seen("name", "nt")
    module.__class__ = type("WindowsModule", (ModuleType,), properties)


def importing(real_import: Callable[..., ModuleType]) -> Callable[..., ModuleType]:
    def import_(name: str, *arguments: Any, **options: Any) -> ModuleType:
        if name in MISSING_MODULES and of_product(1):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real_import(name, *arguments, **options)

    return import_


def spawn_only(real_context: Callable[..., Any]) -> Callable[..., Any]:
    def get_context(method: str | None = None) -> Any:
        if method not in (None, "spawn") and of_product(1):
            raise ValueError(f"cannot find context for {method!r}")
        return real_context(method)

    return get_context


# Files.


def on_disk(path: Any) -> str | None:
    """``path`` in full where it lies below the disk's folder."""
    if isinstance(path, int):
        return None
    full = os.path.abspath(os.fsdecode(path))
    return full if full.startswith(disk + os.sep) else None


def translated(path: Any, *, limit: int = MAX_PATH) -> Any:
    """Where Windows looks for ``path``: in whatever case, without dots and spaces at the end of its parts.

    Raises OSError for a name that it refuses.
    """
    if (full := on_disk(path)) is None:
        return path
    if len(full) >= limit:
        raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", os.fsdecode(path))
    place = disk
    for part in full[len(disk) + 1 :].split(os.sep):
        if REFUSED.search(part):
            raise OSError(errno.EINVAL, SYNTAX, os.fsdecode(path))
        if part.split(".")[0].rstrip().casefold() in DEVICES:
            raise NotADirectoryError(errno.ENOTDIR, "The directory name is invalid", os.fsdecode(path))
        place = os.path.join(place, in_case(place, part.rstrip(". ")))
    return place


def in_case(folder: str, name: str) -> str:
    """The name as the folder has it, if it has it in some case."""
    try:
        real["lstat"](os.path.join(folder, name))
    except OSError:
        try:
            there = real["listdir"](folder)
        except OSError:
            return name
        return next((other for other in there if other.casefold() == name.casefold()), name)
    return name


def translating(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if options.get("dir_fd") is not None:
            return function(path, *arguments, **options)
        try:
            where = translated(path)
        except OSError as error:  # it is not there, whatever else is wrong with it
            raise FileNotFoundError(errno.ENOENT, SYNTAX, os.fsdecode(path)) from error
        return function(where, *arguments, **options)

    call.__name__ = function.__name__
    return call


def mkdir(path: Any, *arguments: Any, **options: Any) -> None:
    return real["mkdir"](translated(path, limit=MAX_FOLDER), *arguments, **options)


def os_open(path: Any, *arguments: Any, **options: Any) -> int:
    return real["open"](path if options.get("dir_fd") else translated(path), *arguments, **options)


def file_open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *arguments: Any,
    **options: Any,
) -> Any:
    if on_disk(file) is not None:
        if os.path.basename(os.fsdecode(file)).split(".")[0].rstrip().casefold() in DEVICES:
            file = os.devnull  # opens whatever is asked for, and keeps nothing
        else:
            file = translated(file)
        if "b" not in mode and for_product():
            encoding = ENCODING if encoding in (None, "locale") else encoding
            if newline is None and any(sign in mode for sign in "wax+"):
                newline = "\r\n"
    return real_open(file, mode, buffering, encoding, errors, newline, *arguments, **options)


def fsync(file: Any) -> None:
    number = file if isinstance(file, int) else file.fileno()
    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    real["fsync"](number)


def unlink(path: Any, **options: Any) -> None:
    if options.get("dir_fd") is not None:
        return real["unlink"](path, **options)
    where = translated(path)
    if on_disk(where) and is_open(where):
        raise PermissionError(errno.EACCES, SHARING, os.fsdecode(path))
    return real["unlink"](where, **options)


def rename(source: Any, target: Any, **options: Any) -> None:
    where = translated(target)
    if on_disk(where) and os.path.lexists(where) and where != translated(source):
        raise FileExistsError(
            errno.EEXIST, "Cannot create a file when that file already exists", source, None, target
        )
    moved(real["rename"], source, target)


def replace(source: Any, target: Any, **options: Any) -> None:
    moved(real["replace"], source, target)


def moved(function: Callable[..., None], source: Any, target: Any) -> None:
    old, new = translated(source), translated(target)
    for path, words in ((old, SHARING), (new, "Access is denied")):
        if on_disk(path) and os.path.lexists(path) and is_open(path):
            raise PermissionError(errno.EACCES, words, os.fsdecode(source), None, os.fsdecode(target))
    if on_disk(new) and os.path.isdir(new):
        raise PermissionError(
            errno.EACCES, "Access is denied", os.fsdecode(source), None, os.fsdecode(target)
        )
    function(old, new)


def is_open(path: str) -> bool:
    """Whether any process has the file open or mapped, or one below the folder."""
    wanted = os.path.realpath(path)
    if any(found == wanted or found.startswith(f"{wanted}/") for found in open_files()):
        return True
    with real_open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return any(line.rstrip("\n").endswith(f" {wanted}") for line in maps)


def open_files() -> set[str]:
    """What the processes have open that this one may look into."""
    found = set()
    for process in filter(str.isdigit, real["listdir"]("/proc")):
        try:
            numbers = real["listdir"](f"/proc/{process}/fd")
        except OSError:
            continue
        for number in numbers:
            try:
                found.add(real["readlink"](f"/proc/{process}/fd/{number}"))
            except OSError:
                continue
    return found
