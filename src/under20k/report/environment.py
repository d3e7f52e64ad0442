"""The hardware and software that trained runs, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from under20k.engine.machine import size_text
from under20k.report.tables import Table


def environment_table(title: str, environments: Sequence[Mapping[str, Any]]) -> Table:
    """Return ``environment_rows`` as a table whose second column is called ``title``."""
    return Table(("Environment", title), tuple(environment_rows(environments)), align="ll")


def environment_rows(environments: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return names and values, distinct values side by side; entries missing everywhere are left out."""
    columns = {
        "Engine": lambda read: _joined(read, "engine", "instruction_set", "precision"),
        "Device": lambda read: _joined(read, "device"),
        "Processor": lambda read: _joined(read, "processor"),
        "Cores": cores_text,
        "Memory": memory_text,
        "Threads": lambda read: _joined(read, "threads"),
        "System": lambda read: _joined(read, "system"),
        "Versions": _versions,
        "Sources": lambda read: _joined(read, "git"),
        "Date": lambda read: str(read.get("started") or "")[:10],
    }
    rows = []
    for name, column in columns.items():
        distinct = list(dict.fromkeys(filter(None, map(column, environments))))
        if distinct:
            rows.append((name, "; ".join(distinct)))
    return rows


def cores_text(environment: Mapping[str, Any]) -> str:
    """Return ``64``, or where a process may use fewer, ``2 of 64 (cgroup quota of 2 CPUs)``."""
    cores = environment.get("cores")
    if limit := environment.get("cores_limit"):
        return f"{environment.get('available_cores')} of {cores} ({limit})"
    return "" if cores is None else str(cores)


def memory_text(environment: Mapping[str, Any]) -> str:
    """Return ``31.3 GiB`` or ``512 MiB (cgroup memory limit)``; empty where it was not recorded."""
    size_bytes, limit = environment.get("memory_bytes"), environment.get("memory_limit")
    if not isinstance(size_bytes, int | float) or not 0 <= size_bytes < 2**63:
        return ""
    return f"{size_text(size_bytes)}{f' ({limit})' if limit else ''}"


def _joined(environment: Mapping[str, Any], *names: str) -> str:
    return ", ".join(str(environment[name]) for name in names if environment.get(name) is not None)


def _versions(environment: Mapping[str, Any]) -> str:
    versions = {"under20k": environment.get("under20k"), "Python": environment.get("python")}
    versions |= environment.get("packages") or {}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)
