"""Lock a folder against other processes, on file systems with locks and on those without.

The lock is the system's ``flock`` on the file ``.lock``. Some network and container file systems refuse that;
there, the file ``.lock-held`` is the lock: whoever creates it holds the lock, and writes into it who that is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE, HELD = ".lock", ".lock-held"
FILES = (FILE, HELD)
LOCKS_NOT_SUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, 524}
"""Errors of ``flock`` on file systems without locks; 524 is ENOTSUPP of NFS."""

WAIT = "wait for it to end"

_warned: set[Path] = set()


class Held(Exception):
    """Another process or thread holds the lock. ``str`` says who, ``advice`` what to do."""

    def __init__(self, who: str = "another process is training", advice: str = WAIT) -> None:
        super().__init__(who)
        self.advice = advice


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder in the block. Raises Held, or OSError if it cannot be written."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_by_flock(folder / FILE))
        except OSError as error:
            if error.errno not in LOCKS_NOT_SUPPORTED:
                raise
            stack.enter_context(_by_existence(folder / HELD))
            if folder not in _warned:
                _warned.add(folder)
                logging.getLogger(__name__).warning(
                    f"{folder} is on a file system without locks ({error.strerror or error}): "
                    f"{HELD} keeps other processes out instead"
                )
        yield


@contextlib.contextmanager
def _by_flock(path: Path) -> Iterator[None]:
    if fcntl is None:
        from filelock import FileLock, Timeout

        try:
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except Timeout:
            raise Held() from None
        try:
            yield
        finally:
            lock.release()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Held() from None
        yield
    finally:
        os.close(descriptor)  # releases the lock


@contextlib.contextmanager
def _by_existence(path: Path) -> Iterator[None]:
    own = _owner()
    text = json.dumps(own | {"token": secrets.token_hex(8), "since": datetime.now(UTC).isoformat()[:19]})
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _remove_stale(path, own)
        else:
            break
    else:
        raise Held()
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield
    finally:
        if _text(path) in ("", text):  # otherwise somebody removed it as stale and holds the lock now
            path.unlink(missing_ok=True)


def _remove_stale(path: Path, own: dict[str, Any]) -> None:
    """Remove a lock whose process is gone. Raises Held if the process runs, or cannot be seen from here."""
    text, advice = _text(path), f"{WAIT}, or if it is gone, remove {path}"
    try:
        owner = json.loads(text)
        place, process = owner["place"], int(owner["process"])
    except (ValueError, KeyError, TypeError):
        # It is being written, or its process was killed while writing.
        raise Held(advice=advice) from None
    if place != own["place"]:
        who = f"process {process} of {owner.get('host')} has been training since {owner.get('since')} UTC"
        raise Held(who, advice)
    if _started(process) == owner.get("started"):
        raise Held(f"process {process} is training", advice)
    # Rename first, so that only one of several processes removes it; put it back if it is a new lock.
    aside = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _text(aside) != text:
        aside.rename(path)
        raise Held()
    aside.unlink()
    logging.getLogger(__name__).warning(f"{path} was left by process {process}, which is gone: removed")


def _owner() -> dict[str, Any]:
    """Return what identifies this process to others on this machine."""
    process = os.getpid()
    return {
        # Process numbers are only unique within one boot and one container.
        "place": [socket.gethostname(), _text(Path("/proc/sys/kernel/random/boot_id")).strip(), _namespace()],
        "host": socket.gethostname(),
        "process": process,
        "started": _started(process),
    }


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(process: int) -> str | None:
    """Return the start time of a process in the system's own unit; None if there is no such process."""
    if fcntl is None:
        return "unknown"  # on Windows, os.kill would end the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    # After the name, which stands in brackets and may hold anything: state, parent, …
    fields = _text(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else "unknown"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
