"""What a run was trained on and by: versions, processor, engine, command. For the record."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from under20k import __version__
from under20k.engine.protocol import Engine

PACKAGES = ("numpy", "torch", "safetensors")


def describe_environment(engine: Engine) -> dict[str, Any]:
    """Plain values for ``environment.json``."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(),
        "engine": engine.name,
        "precision": engine.precision,
        "instruction_set": getattr(engine, "isa", None),  # of the native engine, on which its bits depend
        "device": engine.device,
        "threads": engine.threads,
        "under20k": __version__,
        "git": git_hash(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
    }


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
    here = Path(__file__).parent
    try:
        # Only our own checkout counts, not one that a virtual environment happens to lie in.
        if _git(here, "ls-files", "--error-unmatch", __file__):
            return _git(here, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        pass
    return None


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return run.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
