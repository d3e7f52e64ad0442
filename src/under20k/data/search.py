"""Finding files in a folder by what they hold, whatever they are called and however deep they lie.

Browsers, archivers and Kaggle rename MNIST's files (``train-images.idx3-ubyte``), put each into a folder of
its own, pack or unpack them. Size and first bytes tell which files to read, the SHA-256 whether one is it.
"""

from __future__ import annotations

import os
import stat
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from under20k.data.idx import Content, Damaged, IdxFile, read_gzip, read_plain, verify

DEPTH = 5
ENTRIES = 20_000
SECONDS = 5.0
"""The search ends there: the folder may be a whole home, or lie on a slow network."""
GZIP, ZIP = b"\x1f\x8b\x08", b"PK\x03\x04"


@dataclass(frozen=True)
class Search:
    """What a folder holds of the files that were looked for."""

    found: dict[IdxFile, tuple[Path, Content]]
    whole: bool
    """Whether it was searched to its end."""


def search(folder: Path, files: Sequence[IdxFile]) -> Search:
    """Look for ``files`` in ``folder`` and the folders in it. Only regular files are opened."""
    found: dict[IdxFile, tuple[Path, Content]] = {}
    deadline = time.monotonic() + SECONDS
    for path in _walk(folder):
        if path is None or time.monotonic() > deadline:
            return Search(found, whole=False)
        for file in files:
            if file not in found and (content := _read(path, file)) is not None:
                found[file] = path, content
        if len(found) == len(files):
            break
    return Search(found, whole=True)


def _walk(folder: Path) -> Iterator[Path | None]:
    """The files below ``folder``, the shallow ones first; None where there are too many of them."""
    level, entries = [folder], 0
    for _ in range(DEPTH):
        deeper = []
        for each in level:
            try:
                with os.scandir(each) as listing:
                    inside = sorted(listing, key=lambda entry: entry.name)
            except OSError:  # one that may not be read
                continue
            for entry in inside:
                entries += 1
                if entries > ENTRIES:
                    yield None
                    return
                try:
                    if entry.is_dir(follow_symlinks=False):
                        deeper.append(Path(entry.path))
                    elif entry.is_file():  # through a link, too
                        yield Path(entry.path)
                except OSError:
                    continue
        level = deeper
    if level:
        yield None


def _read(path: Path, file: IdxFile) -> Content | None:
    """``file`` if that is what lies at ``path``, plain, gzip or in a zip archive; else None."""
    try:
        # Were it a pipe by now, opening it would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            start = stream.read(4) or b""  # none where the system has nothing to give yet
            stream.seek(0)
            if status.st_size == file.size and start == file.header[:4]:
                content = read_plain(stream, file)
            elif start.startswith(GZIP) and _unpacked_size(path, status.st_size) == file.size:
                content = read_gzip(stream.read, file)
            elif start == ZIP:
                content = _in_archive(path, file)
            else:
                return None
        verify(content, file)
    except (OSError, Damaged):
        return None
    return content


def _unpacked_size(path: Path, size: int) -> int:
    """What a gzip file says that it unpacks to: its last four bytes."""
    with path.open("rb") as stream:
        stream.seek(max(0, size - 4))
        return int.from_bytes(stream.read(4), "little")


def _in_archive(path: Path, file: IdxFile) -> Content:
    """The member of a zip archive that has the file's size, or its array in Keras' archive; not verified."""
    from under20k.data.layouts import keras

    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.file_size == file.size:
                    with archive.open(member) as stream:
                        content = np.frombuffer(stream.read(file.size + 1), np.uint8)
                    try:
                        verify(content, file)
                    except Damaged:
                        continue
                    return content
    except OSError:
        raise
    except Exception as error:  # zipfile and its decompressors each have their own
        raise Damaged(f"is not a sound archive: {error}") from None
    return keras(path, file)
