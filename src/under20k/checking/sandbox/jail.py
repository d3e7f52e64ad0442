"""The kernel's restrictions on the process that runs models, on Linux and without any privilege.

A mount namespace (Linux 5.12 and later) or, where the system grants none, Landlock (5.13) makes every file
read-only except below one scratch folder. A network namespace takes the network away; Landlock refuses TCP
from 6.7 on. The audit hook stands in front of both, and is the only protection elsewhere.

Structures and numbers are those of ``linux/landlock.h``, ``linux/mount.h`` and ``linux/capability.h``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MECHANISMS = ("mounts", "landlock", "none")
"""Mechanisms that keep files from being written, the preferred one first."""

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_MOUNT_SETATTR, _AT_RECURSIVE, _AT_FDCWD = 442, 0x8000, -100
_MS_BIND, _MS_REC, _MS_PRIVATE, _MOUNT_ATTR_RDONLY = 4096, 16384, 1 << 18, 1
_CAPABILITIES = 41
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
# Rights on files: write, remove and make of every kind (bits 1 and 4 to 12), move between folders, truncate.
_WRITES, _REFER, _TRUNCATE = 1 << 1 | sum(1 << bit for bit in range(4, 13)), 1 << 13, 1 << 14
_TCP = 1 << 0 | 1 << 1
_SCOPES = 1 << 0 | 1 << 1  # abstract sockets and signals, to processes outside
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")


def without_network() -> bool:
    """Enter an empty network namespace; return whether the system grants one."""
    if sys.platform != "linux":
        return False
    user, group = os.getuid(), os.getgid()
    if not _succeeds("unshare", CLONE_NEWUSER | CLONE_NEWNET):
        return False
    _stay(user, group)
    return True


def read_only(scratch: Path, mechanism: str = "auto") -> str:
    """Make every file read-only to this process and its children, except below ``scratch``.

    Returns the mechanism that does it, one of MECHANISMS; ``mechanism`` asks for a certain one.
    """
    if sys.platform != "linux":
        return "none"
    if mechanism in ("auto", "mounts") and _mounts(scratch):
        return "mounts"
    if mechanism in ("auto", "landlock") and _landlock(scratch):
        return "landlock"
    return "none"


def alone() -> None:
    """Keep this process from signalling others that it did not start, by Landlock (Linux 6.12)."""
    if sys.platform == "linux" and _version() >= 6:
        with contextlib.suppress(OSError):
            _restrict(struct.pack("QQQ", 0, 0, _SCOPES))


def _landlock(scratch: Path) -> bool:
    version = _version()
    if version < 1:
        return False
    files = _WRITES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("QQ", files, _TCP) if version >= 4 else struct.pack("Q", files)
    writable = [(str(scratch), files)] + [(name, 1 << 1 | files & _TRUNCATE) for name in _DEVICES]
    try:
        _restrict(attributes, writable)
    except OSError:
        return False
    return True


def _version() -> int:
    """Return Landlock's ABI version, 0 without Landlock."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def _restrict(attributes: bytes, writable: list[tuple[str, int]] | None = None) -> None:
    """Enter a Landlock domain that refuses the rights in ``attributes`` except below ``writable`` paths."""
    libc = _libc()
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for path, access in writable or ():
            with contextlib.suppress(FileNotFoundError):
                folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
                try:
                    rule = struct.pack("=Qi", access, folder)
                    if libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0):
                        raise OSError(ctypes.get_errno(), "landlock_add_rule")
                finally:
                    os.close(folder)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, rules, 0):
            raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    finally:
        os.close(rules)


def _mounts(scratch: Path) -> bool:
    """Enter a mount namespace in which only ``scratch`` is writable, and give up the right to change that."""
    user, group = os.getuid(), os.getgid()
    if not _succeeds("unshare", CLONE_NEWUSER | CLONE_NEWNS):
        return False
    _stay(user, group)
    here = os.fsencode(scratch)
    done = (
        _succeeds("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        and _succeeds("mount", here, here, None, _MS_BIND, None)
        and _attributes(b"/", _AT_RECURSIVE, struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0))
        and _attributes(here, 0, struct.pack("QQQQ", 0, _MOUNT_ATTR_RDONLY, 0, 0))
    )
    _drop_capabilities()
    return done


def _attributes(path: bytes, flags: int, change: bytes) -> bool:
    return _succeeds("syscall", _MOUNT_SETATTR, _AT_FDCWD, path, flags, change, len(change))


def _drop_capabilities() -> None:
    """Give up every capability for good: a new user namespace brings them all."""
    libc = _libc()
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version_3 = struct.pack("Ii", 0x20080522, 0)
    libc.capset(version_3, bytes(24))


def _stay(user: int, group: int) -> None:
    """Keep the user's own ids in a new user namespace, where everybody is ``nobody`` otherwise."""
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _succeeds(function: str, *arguments: Any) -> bool:
    return getattr(_libc(), function, lambda *_: -1)(*arguments) == 0


def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
