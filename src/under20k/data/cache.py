"""The folders that MNIST is stored in, and saving a file there whole or not at all."""

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

STALE_SECONDS = 3600  # an older temporary file has no writer any more


def given_folder(data_dir: Path | None = None) -> Path | None:
    """Return ``data_dir`` or else the folder named by the environment variable, absolute; None for neither.

    Raises UserError if the path exists and is not a folder.
    """
    name, origin = (os.environ.get(VARIABLE), VARIABLE) if data_dir is None else (data_dir, "--data-dir")
    if not name:
        return None
    expanded = os.path.expanduser(name)
    if os.fspath(expanded).startswith("~") and expanded == os.fspath(name):
        raise UserError(
            f"{origin} is {os.fspath(name)!r}, but there is no such home folder; give the full path"
        )
    folder = Path(os.path.abspath(expanded))
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError(f"{origin} must name a folder, but {folder} is not one")
    return folder


def cache_folder() -> Path:
    """Return the platform's cache folder, on Linux ``~/.cache/under20k/mnist``.

    Raises UserError where this user has no home folder.
    """
    folder: Path | None = None
    with contextlib.suppress(RuntimeError, KeyError):
        folder = platformdirs.user_cache_path("under20k", appauthor=False) / "mnist"
    if folder is None or str(folder).startswith("~"):  # old versions of platformdirs return it so
        raise UserError(
            "this user has no home folder to store MNIST in; name a folder with --data-dir or "
            f"{VARIABLE}, or set HOME"
        )
    return folder


def place(content: Content, file: IdxFile, folder: Path) -> Path:
    """Save a file's content under its name.

    Until every byte is on disk the file has a temporary name, so a kill at any moment leaves the old file or
    the new one under the final name; two processes at once write the same bytes one after the other.

    Args:
        content: the verified bytes.
        file: supplies the name.
        folder: created if it does not exist.

    Returns:
        The file's path.

    Raises:
        OSError: where it cannot be written; nothing is left behind.
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
    """Remove temporary files in ``folder`` that killed writers of ``file`` left behind."""
    for part in folder.glob(f".{file.name}-*.part"):
        with contextlib.suppress(OSError):  # already gone, or not ours to remove
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()
