"""Find MNIST's files in a folder: in known layouts first, then by content. Nothing is written here.

The known layouts are IDX files, plain or gzip, at the top of the folder or where torchvision puts them
(``MNIST/raw/``), and Keras' ``mnist.npz``, at the top or in ``datasets/``.

By content, because browsers, archivers and Kaggle rename the files (``train-images.idx3-ubyte``), put each
into a folder of its own, pack or unpack them. Size and first bytes tell which files to read, the SHA-256
whether it is one of them.
"""

from __future__ import annotations

import os
import stat
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from under20k.data.idx import Content, Damaged, IdxFile, read_gzip, read_plain, verify

IDX_FOLDERS = ("", "MNIST/raw", "raw")
NPZ_FOLDERS = ("", "datasets")

NO_FILE = "is not a regular file"

DEPTH = 5
ENTRIES = 20_000
SECONDS = 5.0
"""Limits of the search by content: the folder may be a whole home, or on a slow network."""
GZIP, ZIP = b"\x1f\x8b\x08", b"PK\x03\x04"

Reader = Callable[[Path, IdxFile], Content]


def look(folder: Path, file: IdxFile, complain: Callable[[str], None]) -> tuple[Path, Content] | None:
    """Look for a sound copy of ``file`` in the known layouts.

    Args:
        folder: where to look; it need not exist.
        file: the file to find.
        complain: called with a message for each copy that is damaged or cannot be read.

    Returns:
        The path and the verified bytes, or None.
    """
    for path, read in copies(folder, file):
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would block
                raise Damaged(NO_FILE)
            content = read(path, file)
            verify(content, file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Damaged as error:
            complain(f"{path} {error}")
        except PermissionError:
            # In a folder that may not be searched, every file would be reported: report the folder instead.
            unreadable = path if os.access(path.parent, os.X_OK) else path.parent
            complain(f"{unreadable} cannot be read: Permission denied")
        except OSError as error:
            complain(f"{path} cannot be read: {error.strerror or error}")
        else:
            return path, content
    return None


def copies(folder: Path, file: IdxFile) -> Iterator[tuple[Path, Reader]]:
    """Yield where ``file`` may be in ``folder``, each with the function that reads it, fastest first."""
    for subfolder in IDX_FOLDERS:
        yield folder / subfolder / file.name, plain
    for subfolder in IDX_FOLDERS:
        yield folder / subfolder / f"{file.name}.gz", gzipped
    for subfolder in NPZ_FOLDERS:
        yield folder / subfolder / "mnist.npz", keras


def plain(path: Path, file: IdxFile) -> Content:
    """Return the bytes of an IDX file, not verified."""
    with path.open("rb") as stream:
        return read_plain(stream, file)


def gzipped(path: Path, file: IdxFile) -> Content:
    """Return the bytes of a gzip-compressed IDX file, not verified. Raises Damaged if it is not gzip."""
    with path.open("rb") as stream:
        return read_gzip(stream.read, file)


def keras(path: Path, file: IdxFile) -> Content:
    """Rebuild the IDX file from its array in Keras' archive, not verified. Raises Damaged if there is none.

    The array's header is checked before any data are read, so that neither a pickle nor an array of another
    size is ever loaded.
    """
    member = f"{file.keras_name}.npy"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            if npy.read_magic(stream) != (1, 0):
                raise Damaged(f"has {member} in a format other than .npy 1.0")
            shape, column_major, dtype = npy.read_array_header_1_0(stream)
            if (shape, column_major, dtype) != (file.shape, False, np.dtype(np.uint8)):
                raise Damaged(f"has {member} of shape {shape} and type {dtype}, not {file.shape} uint8")
            content = bytearray(file.header)
            content += stream.read(file.size - len(content))
    except (Damaged, OSError):
        raise
    except KeyError:
        raise Damaged(f"has no {member}") from None
    except Exception as error:  # zipfile, its decompressors and NumPy's header parser raise various errors
        raise Damaged(f"is not a valid .npz: {error or type(error).__name__}") from None
    return np.frombuffer(content, np.uint8)


def search(folder: Path, files: Sequence[IdxFile]) -> tuple[dict[IdxFile, tuple[Path, Content]], bool]:
    """Look for ``files`` by content in ``folder`` and its subfolders. Only regular files are opened.

    Returns:
        Path and verified bytes of each file found, and whether the search was complete.
    """
    found: dict[IdxFile, tuple[Path, Content]] = {}
    deadline = time.monotonic() + SECONDS
    for path in _walk(folder):
        if path is None or time.monotonic() > deadline:
            return found, False
        for file in files:
            if file not in found and (content := _read(path, file)) is not None:
                found[file] = path, content
        if len(found) == len(files):
            break
    return found, True


def _walk(folder: Path) -> Iterator[Path | None]:
    """Yield the files below ``folder``, shallow ones first; None at the end where a limit was reached."""
    level, entries = [folder], 0
    for _ in range(DEPTH):
        deeper = []
        for each in level:
            try:
                with os.scandir(each) as listing:
                    inside = sorted(listing, key=lambda entry: entry.name)
            except OSError:  # not readable
                continue
            for entry in inside:
                entries += 1
                if entries > ENTRIES:
                    yield None
                    return
                try:
                    if entry.is_dir(follow_symlinks=False):
                        deeper.append(Path(entry.path))
                    elif entry.is_file():  # also through a link
                        yield Path(entry.path)
                except OSError:
                    continue
        level = deeper
    if level:
        yield None


def _read(path: Path, file: IdxFile) -> Content | None:
    """Return the content of ``file`` if it is at ``path``, plain, gzip or in a zip archive; else None."""
    try:
        # Non-blocking, in case it has become a pipe by now.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            start = stream.read(4) or b""  # None where the system has no data yet
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
    """Return the unpacked size that a gzip file states in its last four bytes."""
    with path.open("rb") as stream:
        stream.seek(max(0, size - 4))
        return int.from_bytes(stream.read(4), "little")


def _in_archive(path: Path, file: IdxFile) -> Content:
    """Return the member of a zip archive that is the file, or the file from Keras' archive, not verified."""
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
    except Exception as error:  # zipfile and its decompressors raise various errors
        raise Damaged(f"is not a valid archive: {error}") from None
    return keras(path, file)
