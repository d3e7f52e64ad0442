"""What a run was trained on and by: versions, processor, engine, command. For the record."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from under20k.engine import machine, native_engine
from under20k.engine.base import INPUT, Compute, Engine
from under20k.engine.select import choose

PRECISION = "fp32"
"""Of runs whose environment names none."""

# The sources that decide a training's bits.
CODE = (
    "recipe/architecture.py",
    "recipe/transforms.py",
    "engine/evaluation.py",
    "recipe/plan.py",
    "recipe/recipe.py",
    "runs/distillation.py",
    "runs/loop.py",
    "recipe/weights.py",
    "data/split.py",
    "engine",
)
DIGEST_SIGNS = 16

PACKAGES = ("numpy", "torch", "safetensors")


def describe_environment(engine: Engine, command_line: str | None = None) -> dict[str, Any]:
    """Plain values for ``environment.json``; ``command_line`` is by default this process's own."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line or command(),
        "engine": engine.name,
        "precision": engine.precision,
        "instruction_set": getattr(engine, "isa", None),  # of the native engine, on which its bits depend
        "device": engine.device,
        "threads": engine.threads,
        "input": INPUT,
        "under20k": metadata.version("under20k"),
        "git": git_hash(),
        "code": code_digest(),
        "native_build": native_build() if engine.name == "native" else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        **available(),
    }


def available() -> dict[str, Any]:
    """What of the machine this process may use; what limits it is named only where something does."""
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
    """What decides a training's bits beside recipe and seed, as far as a run's environment says it.

    The native engine gives the same bits for any number of threads, torch does not.
    """
    own = {
        "engine": environment.get("engine"),
        "precision": environment.get("precision", PRECISION),
        "device": environment.get("device"),
        "code": environment.get("code"),
    }
    if own["engine"] == "native":
        names: tuple[str, ...] = ("instruction_set", "native_build")
        return own | {name: environment.get(name) for name in names}
    return own | {
        "threads": environment.get("threads"),
        "torch": (environment.get("packages") or {}).get("torch"),
    }


def expected_identity(compute: Compute, *, here: bool = True) -> dict[str, Any]:
    """Return the ``identity`` that a training by ``compute`` would have, as far as it can be said before.

    On another machine (``here`` false) it is the engine, the precision, the code and, if named, the device.
    """
    choice = choose(compute)
    expected: dict[str, Any] = {
        "engine": choice.engine,
        "precision": choice.precision,
        "code": code_digest(),
    }
    if compute.device != "auto":
        expected["device"] = compute.device
    if not here:
        return expected
    if choice.engine == "native":
        return expected | {
            "instruction_set": native_engine.instruction_set(choice.precision),
            "native_build": native_build(),
        }
    return expected | {"threads": compute.threads, "torch": _version("torch")}


@cache
def code_digest() -> str:
    """A digest of the Python sources that decide a training's bits."""
    here = Path(__file__).parent.parent
    files = [file for name in CODE for file in sorted((here / name).glob("*.py")) or [here / name]]
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(here).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:DIGEST_SIGNS]


@cache
def native_build() -> str | None:
    """A digest of the native engine as it was compiled; None where there is none."""
    if (file := native_engine.library()) is None:
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGEST_SIGNS]


def command() -> str:
    """The command line of this process, as one would type it."""
    program = Path(sys.argv[0]).name
    name = "python -m under20k" if program == "__main__.py" else program
    return f"{name} {shlex.join(sys.argv[1:])}".rstrip()


def processor() -> str:
    """The processor's own name for itself, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_hash() -> str | None:
    """The commit of the sources that run, with ``-dirty`` where they differ; None outside a checkout."""
    return git_state()[0]


def git_state() -> tuple[str | None, str]:
    """``git_hash``, and where there is none, why: git's own words, or that there is no checkout."""
    here = Path(__file__).parent.parent
    checkout = here.parent.parent
    if not (checkout / ".git").exists():
        return None, "this under20k runs from an installed package, not from a git checkout"
    try:
        # Only our own checkout counts, not one that a virtual environment happens to lie in.
        _git(here, checkout, "ls-files", "--error-unmatch", __file__)
        commit = _git(here, checkout, "rev-parse", "HEAD")
        # A changed document changes no training.
        sources = [".", ":(top)native", ":(top)pyproject.toml"]
        changed = _git(here, checkout, "status", "--porcelain", "--untracked-files=no", "--", *sources)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        return None, f"git says: {said[0] if said else f'exit code {error.returncode}'}"
    except subprocess.TimeoutExpired as error:
        return None, f"git takes longer than {error.timeout:g} s"
    except OSError as error:
        return None, f"git cannot be run: {error.strerror or error}"
    return (f"{commit}-dirty" if changed else commit), ""


def sources_text() -> str:
    """For the start of a bench, the commit that a record of it would name, or why there is none."""
    commit, reason = git_state()
    if commit is None:
        return f"sources: no commit, so that no record can be made ({reason})"
    if commit.endswith("-dirty"):
        return f"sources: {commit}; commit what has changed before a record is made"
    return f"sources: {commit}"


def _git(folder: Path, checkout: Path, *arguments: str) -> str:
    # Git refuses a checkout of another user, as in containers. This one's code is running already: reading
    # its commit trusts it no further.
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
