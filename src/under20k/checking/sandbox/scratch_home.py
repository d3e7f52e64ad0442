"""A scratch folder as the home of a process: for temporary files, caches and the user's own files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

HOMES = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
CACHES = (
    "MPLCONFIGDIR",
    "TORCH_HOME",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "NUMBA_CACHE_DIR",
    "HF_HOME",
)


def homes(scratch: str) -> dict[str, str]:
    """Return the environment variables that make ``scratch`` the home."""
    return dict.fromkeys(HOMES, scratch) | {name: os.path.join(scratch, name.lower()) for name in CACHES}


def move_home(scratch: Path) -> None:
    """Make ``scratch`` the home of this process, with the fonts of the one before."""
    fonts = list(Path(os.environ.get("MPLCONFIGDIR", scratch)).glob("fontlist-*.json"))
    os.environ |= homes(str(scratch))
    tempfile.tempdir = str(scratch)
    keep_fonts(fonts, os.environ["MPLCONFIGDIR"])


def keep_fonts(paths: Iterable[Path], folder: str) -> None:
    """Copy matplotlib's lists of fonts into its folder: making one takes it seconds."""
    for path in paths:
        with contextlib.suppress(OSError, shutil.SameFileError):
            os.makedirs(folder, exist_ok=True)
            shutil.copy(path, folder)


def font_lists() -> list[Path]:
    """Return the files in which matplotlib keeps this machine's fonts, for this user."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folders = [Path(os.environ["MPLCONFIGDIR"])] if os.environ.get("MPLCONFIGDIR") else []
    folders += [home / "matplotlib", Path(os.path.expanduser("~/.matplotlib"))]
    with contextlib.suppress(OSError):
        for folder in folders:
            if found := list(folder.glob("fontlist-*.json")):
                return found
    return []
