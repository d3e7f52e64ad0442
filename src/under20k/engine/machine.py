"""The cores and the memory that this process may use: the machine's, within all limits.

Used by everything that starts threads, processes or large arrays. A container sees all of its host's cores
and memory; its limits are in its control groups (cgroups), version 1 or 2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from under20k.errors import UserError

ROOT = Path("/")
NO_LIMIT_BYTES = 2**60  # version 1 writes "no limit" as a number near 2**63
MACHINE_FRACTION = 0.9  # of the machine's memory that a training may use: the system needs some, too


@dataclass(frozen=True)
class Available:
    """How many cores or bytes this process may use."""

    amount: int
    """Cores, or bytes."""
    limit: str = ""
    """The limit below the machine's own amount; empty if there is none."""

    @property
    def cores_text(self) -> str:
        """Return such as ``1 core (cgroup quota of 1.5 CPUs)``."""
        limit = f" ({self.limit})" if self.limit else ""
        return f"{self.amount} {'core' if self.amount == 1 else 'cores'}{limit}"


def cores(root: Path = ROOT) -> Available:
    """Return the minimum of the machine's cores, CPU affinity and the cgroups' CPU quotas; at least 1.

    A quota of 2.5 CPUs is 2 cores: a third thread would be stopped half of the time, and the others would
    wait for it. ``root`` holds ``proc`` and the cgroup file systems, for tests.
    """
    found = Available(os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
        if allowed < found.amount:
            found = Available(allowed, "CPU affinity")
    for quota in _cpu_quotas(root):
        whole = max(1, math.floor(quota))
        if whole < found.amount:
            found = Available(whole, f"cgroup quota of {quota:g} {'CPU' if quota == 1 else 'CPUs'}")
    return found


def memory(root: Path = ROOT) -> Available | None:
    """Return the minimum, in bytes, of the machine's memory and all limits; None if the system does not say.

    The limits are the cgroups' and this process's own (``ulimit -v`` and ``-d``). Memory that others use is
    not subtracted.
    """
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None  # Windows
    found = Available(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limits = [(limit, "cgroup memory limit") for limit in _memory_limits(root)]
    for limit_bytes, name in [*limits, *_process_limits()]:
        if limit_bytes < found.amount:
            found = Available(limit_bytes, name)
    return found


def check_memory(needed_bytes: float, what: str) -> None:
    """Raise UserError, with ``what`` as its subject, if this process may use fewer bytes than needed."""
    available = memory()
    if available is None:
        return
    if needed_bytes > (1.0 if available.limit else MACHINE_FRACTION) * available.amount:
        where = f"this process may use {size_text(available.amount)} ({available.limit})"
        if not available.limit:
            where = f"this machine has {size_text(available.amount)}"
        raise UserError(f"{what} takes {size_text(needed_bytes)}, and {where}; lower --batch-size")


def size_text(size_bytes: float) -> str:
    """Write a size as ``1.5 GiB`` or ``300 MiB``."""
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.0f} MiB"


def _process_limits() -> Iterator[tuple[int, str]]:
    import resource  # not on Windows

    for name, option in (("RLIMIT_AS", "ulimit -v"), ("RLIMIT_DATA", "ulimit -d")):
        soft, _ = resource.getrlimit(getattr(resource, name))
        if soft != resource.RLIM_INFINITY:
            yield soft, option


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas, in CPUs, of this process's cgroups and their parents."""
    for folder in _cgroups(root, "cpu"):
        quota, period = _numbers(folder / "cpu.max", 2)  # "150000 100000", or "max 100000"
        if quota is None:
            (quota,) = _numbers(folder / "cpu.cfs_quota_us", 1)  # -1 for none
            (period,) = _numbers(folder / "cpu.cfs_period_us", 1)
        if quota and period and quota > 0:
            yield quota / period


def _memory_limits(root: Path) -> Iterator[int]:
    for folder in _cgroups(root, "memory"):
        for file in ("memory.max", "memory.limit_in_bytes"):
            (limit,) = _numbers(folder / file, 1)
            if limit is not None and 0 < limit < NO_LIMIT_BYTES:
                yield limit


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroups and their parents, innermost first."""
    own: dict[str, str] = {}  # path by controller; "" is version 2
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        own |= dict.fromkeys(controllers.split(","), path)
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, file_system = line.partition(" - ")
        fields, kind = mount.split(), file_system.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            name = ""
        elif kind[0] == "cgroup" and controller in kind[2].split(","):
            name = controller
        else:
            continue
        if name not in own:
            continue
        path = own[name]
        top = root / _unescaped(fields[4]).lstrip("/")
        # Where only part of the tree is mounted, as in a container, that part is the top.
        inside = Path("/", path)
        try:
            inside = inside.relative_to(_unescaped(fields[3]))
        except ValueError:
            inside = Path(path.lstrip("/"))
        folder = top / inside
        if ".." in inside.parts or not folder.is_dir():  # the path is of another namespace
            folder = top
        while folder != top:
            yield folder
            folder = folder.parent
        yield top


def _unescaped(path: str) -> str:
    """Decode a path of ``mountinfo``, where a space is ``\\040``."""
    for sign in (" ", "\t", "\n", "\\"):
        path = path.replace(f"\\{ord(sign):03o}", sign)
    return path


def _numbers(file: Path, count: int) -> list[int | None]:
    """Read the first ``count`` words of a file as whole numbers; None for each that is not one."""
    words = " ".join(_lines(file)).split()[:count]
    words += [""] * (count - len(words))
    return [int(word) if word.lstrip("-").isdecimal() else None for word in words]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
