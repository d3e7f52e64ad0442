"""The provenance of a run: engine, versions, processor, command, commit."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from under20k.engine import isa, machine
from under20k.engine.base import INPUT, NUMERICS, Compute, Engine
from under20k.engine.select import choose

PRECISION = "fp32"
"""The precision of runs whose environment names none."""
DIGEST_CHARACTERS = 16

PACKAGES = ("numpy", "torch", "safetensors")
SOURCES = (".", ":(top)native", ":(top)pyproject.toml")
"""Paths, from the package, in which git looks for changes; a changed document changes no training."""


def describe_environment(engine: Engine, command_line: str | None = None) -> dict[str, Any]:
    """Return plain values for ``environment.json``. ``command_line`` defaults to this process's own."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line or command(),
        "engine": engine.name,
        "precision": engine.precision,
        "instruction_set": getattr(engine, "isa", None),  # the native engine's bits depend on it
        "device": engine.device,
        "threads": engine.threads,
        "input": INPUT,
        "under20k": metadata.version("under20k"),
        "git": git_hash(),
        **uncommitted(),
        "numerics": NUMERICS,
        "native_build": native_build() if engine.name == "native" else None,
        "compiler": isa.compiler() if engine.name == "native" else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        **available(),
    }


def available() -> dict[str, Any]:
    """Return the cores and the memory that this process may use, and their limits, if any."""
    cores, memory = machine.cores(), machine.memory()
    found: dict[str, Any] = {"cores": os.cpu_count()}
    if cores.limit:
        found |= {"available_cores": cores.amount, "cores_limit": cores.limit}
    if memory is not None:
        found["memory_bytes"] = memory.amount
        if memory.limit:
            found["memory_limit"] = memory.limit
    return found


def identity(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of an environment that determine a training's bits, apart from recipe and seed.

    The native engine is bit-exact for any number of threads, torch is not.
    """
    own = {
        "engine": environment.get("engine"),
        "precision": environment.get("precision", PRECISION),
        "device": environment.get("device"),
        "numerics": numerics(environment),
    }
    if own["engine"] == "native":
        return own | {
            "instruction_set": environment.get("instruction_set"),
            "compiler": _brand(environment.get("compiler")),
        }
    return own | {
        "threads": environment.get("threads"),
        "torch": (environment.get("packages") or {}).get("torch"),
    }


def session_differences(sessions: Iterable[Mapping[str, Any]], expected: Mapping[str, Any]) -> str:
    """Return how recorded environments differ from an expected ``identity``, such as
    ``precision bf16, now fp32``; empty if they do not.
    """
    trained = [identity(session) for session in sessions]
    parts = []
    # Entries that are only known after training have to be the same in all sessions.
    for name, value in (trained[-1] | dict(expected)).items():
        others = [by.get(name) for by in trained if by.get(name) != value]
        if others:
            before = "not recorded" if others[0] is None else others[0]
            parts.append(f"{name} {before}, now {value}")
    return "; ".join(parts)


def numerics(environment: Mapping[str, Any]) -> int | str:
    """Return the numerics version that trained, or text for a run older than such versions.

    The text names the digest of the sources that such a run has instead: equal sources gave equal bits.
    """
    version: int | None = environment.get("numerics")
    if version is not None:
        return version
    code = environment.get("code")
    return f"unknown (code {code})" if code else "unknown"


def local_identity(compute: Compute) -> dict[str, Any]:
    """Return the ``identity`` that a training by ``compute`` would have on this machine.

    The device is part of it only if ``compute`` names one.
    """
    expected = portable_identity(compute)
    if expected["engine"] == "native":
        return expected | {
            "instruction_set": isa.instruction_set(expected["precision"]),
            "compiler": _brand(isa.compiler()),
        }
    return expected | {"threads": compute.threads, "torch": _version("torch")}


def portable_identity(compute: Compute) -> dict[str, Any]:
    """Return the part of ``local_identity`` that is the same on every machine."""
    choice = choose(compute)
    expected: dict[str, Any] = {
        "engine": choice.engine,
        "precision": choice.precision,
        "numerics": NUMERICS,
    }
    return expected if compute.device == "auto" else expected | {"device": compute.device}


def _brand(compiler: str | None) -> str | None:
    """Return ``GCC`` for ``GCC 12.2.0``; None where no compiler is recorded."""
    return compiler.split()[0] if compiler and compiler.strip() else None


@cache
def native_build() -> str | None:
    """Return a digest of the compiled native engine; None if there is none."""
    if (file := isa.library()) is None:
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGEST_CHARACTERS]


def command() -> str:
    """Return the command line of this process, as a user would type it."""
    program = Path(sys.argv[0]).name
    name = "python -m under20k" if program == "__main__.py" else program
    return f"{name} {shlex.join(sys.argv[1:])}".rstrip()


def processor() -> str:
    """Return the processor's model name, or Python's own description if the system has none."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_hash() -> str | None:
    """Return the commit of the running sources, with ``-dirty`` if they differ; None outside a checkout."""
    return git_state()[0]


def git_state() -> tuple[str | None, str]:
    """Return ``git_hash``, and if that is None, the reason; else an empty reason."""
    here = Path(__file__).parent.parent
    checkout = here.parent.parent
    if not (checkout / ".git").exists():
        return None, "this under20k runs from an installed package, not from a git checkout"
    try:
        # Only our own checkout counts, not one that surrounds a virtual environment.
        _git(here, checkout, "ls-files", "--error-unmatch", __file__)
        commit = _git(here, checkout, "rev-parse", "HEAD")
        changed = _git(here, checkout, "status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        return None, f"git says: {said[0] if said else f'exit code {error.returncode}'}"
    except subprocess.TimeoutExpired as error:
        return None, f"git takes longer than {error.timeout:g} s"
    except OSError as error:
        return None, f"git cannot be run: {error.strerror or error}"
    return (f"{commit}-dirty" if changed else commit), ""


def uncommitted() -> dict[str, str]:
    """Return a digest of the uncommitted changes for the environment; empty if there are none."""
    commit = git_hash() or ""
    digest = _changes(commit.removesuffix("-dirty")) if commit.endswith("-dirty") else None
    return {"git_diff": digest} if digest else {}


def committed_since(environment: Mapping[str, Any]) -> bool:
    """Return whether the current commit has the sources that trained a run, then partly uncommitted."""
    before, now = str(environment.get("git")), git_hash()
    digest: str | None = environment.get("git_diff")
    if now is None or now.endswith("-dirty") or not before.endswith("-dirty") or not digest:
        return False
    return _changes(before.removesuffix("-dirty"), now) == digest


def _changes(*commits: str) -> str | None:
    """Return a digest of the sources' changes since a commit, up to another one or to the files."""
    here = Path(__file__).parent.parent
    # Independent of the user's git configuration.
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--binary", "--full-index")
    try:
        text = _git(here, here.parent.parent, "diff", *plain, *commits, "--", *SOURCES)
    except (OSError, subprocess.SubprocessError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def sources_text() -> str:
    """Return a line naming the commit for a record of a bench, or the reason why there is none."""
    commit, reason = git_state()
    if commit is None:
        return f"source code: no commit, so no record can be made ({reason})"
    if commit.endswith("-dirty"):
        return f"source code: commit {commit}; commit the changes before you make a record"
    return f"source code: commit {commit}"


def _git(folder: Path, checkout: Path, *arguments: str) -> str:
    # Git refuses another user's checkout, common in containers. Its code is running already, so reading the
    # commit needs no further trust.
    command = ["git", "-c", f"safe.directory={checkout}", *arguments]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=10, check=True
    )
    return run.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
