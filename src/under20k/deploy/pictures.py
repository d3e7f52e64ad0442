"""Find the pictures that a command line names: files, folders, patterns and standard input."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from under20k.errors import UserError

STDIN = "-"
SUFFIXES = (
    *(".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
"""Of what counts as a picture in a folder; a file that is named may have any."""


class NoPicture(UserError):
    """A name stands for no picture."""

    def __init__(self, name: str | Path, message: str) -> None:
        super().__init__(message)
        self.name = str(name)


def pictures(names: Sequence[str | Path]) -> Iterator[Path | NoPicture]:
    """Yield the pictures that names stand for, or why a name stands for none.

    A folder stands for the pictures in it, at any depth, in the order in which people count: 2 before 10. So
    does a pattern, ``"scans/*.png"``, if the shell has left it. ``-`` is yielded as it is.
    """
    for name in map(str, names):
        if name == STDIN:
            yield Path(STDIN)
        elif os.path.lexists(name):
            yield from _of_path(Path(name))
        elif glob.has_magic(name):
            matches = sorted(_matches(name), key=natural)
            if not matches:
                yield NoPicture(name, f"nothing matches {name}")
            for match in matches:
                yield from _of_path(Path(match))
        else:
            yield NoPicture(name, f"there is no file {name}")


def _matches(pattern: str) -> Iterator[str]:
    """Yield the paths that a pattern matches; its first ``**`` stands for folders of any depth.

    Unlike ``glob``, it does not follow links to folders there, which may lead in circles.
    """
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    deep = parts.index("**")
    below = os.path.join(*parts[deep + 1 :]) if parts[deep + 1 :] else "*"
    for top in glob.iglob(os.path.join(*parts[:deep])) if deep else [""]:
        for parent, folders, files in os.walk(top or os.curdir):
            folders[:] = [name for name in folders if name[0] != "."]
            for name in files:
                path = os.path.relpath(os.path.join(parent, name), top or os.curdir)
                if name[0] != "." and PurePath(path).match(below):
                    yield os.path.join(top, path)


def natural(text: str) -> list[tuple[int, str]]:
    """Return a sort key by which numbers in names are ordered as numbers."""
    parts = re.split(r"(\d+)", text.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _of_path(path: Path) -> Iterator[Path | NoPicture]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield NoPicture(path, f"{path} cannot be read: {error.strerror}")
        return
    if stat.S_ISDIR(mode):
        yield from _in_folder(path)
    elif stat.S_ISREG(mode):
        yield path.absolute() if str(path) == STDIN else path  # "./-", of which Path makes "-"
    else:
        yield NoPicture(path, f"{path} is not a regular file; pipe a picture into 'under20k predict -'")


def _in_folder(folder: Path) -> Iterator[Path | NoPicture]:
    """Yield the pictures below a folder, hidden ones apart; links to folders are not followed."""
    faults: list[OSError] = []
    found = False
    for parent, folders, files in os.walk(folder, onerror=faults.append):
        folders[:] = sorted((name for name in folders if name[0] != "."), key=natural)
        for name in sorted(files, key=natural):
            if name[0] != "." and os.path.splitext(name)[1].lower() in SUFFIXES:
                path = Path(parent, name)
                if path.is_file() or path.is_symlink():  # no pipes; a dangling link is told when it is read
                    found = True
                    yield path
    for fault in faults:
        yield NoPicture(fault.filename, f"{fault.filename} cannot be listed: {fault.strerror}")
    if not found and not faults:
        yield NoPicture(folder, f"{folder} holds no pictures: no file that ends in {', '.join(SUFFIXES)}")
