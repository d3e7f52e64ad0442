"""Python code in a process of its own, as it would run on Windows (``double/windows_double.py``)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DOUBLE = Path(__file__).parent / "double"
TIMEOUT_S = 240


def on_windows(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of Python (``-c``, ``-m``) in ``folder``, as on Windows' disk; output in cp1252."""
    environment = {"PYTHONIOENCODING": "cp1252"}
    path = os.pathsep.join(filter(None, (str(DOUBLE), os.environ.get("PYTHONPATH"))))
    if sys.platform != "win32":
        environment |= {"PYTHONPATH": path, "UNDER20K_WINDOWS_DISK": str(folder)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **environment, **variables},
        capture_output=True,
        encoding="cp1252",
        timeout=TIMEOUT_S,
    )


@pytest.fixture
def windows(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *command, **variables: on_windows(tmp_path, *command, **variables)
