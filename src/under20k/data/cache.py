"""The folders that files are kept in, and putting a file there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

import platformdirs

from under20k.data.idx import Content, IdxFile
from under20k.errors import UserError
from under20k.files import once_free

VARIABLE = "UNDER20K_DATA_DIR"
"""The environment variable that names a data folder."""

STALE_SECONDS = 3600  # no file takes so long to write: its writer is dead


def given_folder(data_dir: Path | None = None) -> Path | None:
    """``data_dir``, else the folder named by the environment variable, else None; absolute.

    Raises UserError if there is something there that is not a folder.
    """
    name, origin = (os.environ.get(VARIABLE), VARIABLE) if data_dir is None else (data_dir, "--data-dir")
    if not name:
        return None
    expanded = os.path.expanduser(name)
    if os.fspath(expanded).startswith("~") and expanded == os.fspath(name):
        raise UserError(
            f"{origin} is {os.fspath(name)!r}, and there is no such home folder; give the whole path"
        )
    folder = Path(os.path.abspath(expanded))
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError(f"{origin} must name a folder, and {folder} is none")
    return folder


def cache_folder() -> Path:
    """The platform's folder for what can be fetched again, on Linux ``~/.cache/under20k/mnist``.

    Raises UserError where this user has no home folder.
    """
    folder: Path | None = None
    with contextlib.suppress(RuntimeError, KeyError):
        folder = platformdirs.user_cache_path("under20k", appauthor=False) / "mnist"
    if folder is None or str(folder).startswith("~"):  # as old versions of platformdirs leave it
        raise UserError(
            "this user has no home folder that MNIST could be kept in; name a folder with --data-dir or "
            f"{VARIABLE}, or set HOME"
        )
    return folder


def place(content: Content, file: IdxFile, folder: Path) -> Path:
    """Put ``content`` into ``folder`` under the name of ``file``; returns the path.

    Until every byte is on disk the file has a temporary name, so a kill at any moment leaves the old file
    or the new one under the true name; two processes at once put the same bytes there one after the other.
    Raises OSError where this cannot be done, and leaves nothing behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, file)
    path = folder / file.name
    temporary = folder / f".{file.name}-{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as stream:
            stream.write(content.data)
            stream.flush()
            os.fsync(stream.fileno())
        once_free(lambda: temporary.replace(path))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def sweep(folder: Path, file: IdxFile) -> None:
    """Remove what a process that was killed while it wrote ``file`` into ``folder`` left there."""
    for part in folder.glob(f".{file.name}-*.part"):
        with contextlib.suppress(OSError):  # gone already, or not ours to remove
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()
