"""Finding a file in a folder, in any layout that others leave it in. Nothing is written here.

Known are the IDX files, plain or gzip, at the top of the folder or where torchvision puts them
(``MNIST/raw/``), and Keras' ``mnist.npz``, at the top or in ``datasets/``.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from under20k.data.idx import Content, Damaged, IdxFile, read_gzip, read_plain, verify

IDX_FOLDERS = ("", "MNIST/raw", "raw")
NPZ_FOLDERS = ("", "datasets")

NO_FILE = "is not a regular file"

Reader = Callable[[Path, IdxFile], Content]


def look(folder: Path, file: IdxFile, complain: Callable[[str], None]) -> tuple[Path, Content] | None:
    """The first sound copy of ``file`` in ``folder`` and where it lies, or None.

    ``complain`` is told of each copy passed over because it is damaged or cannot be read.
    """
    for path, read in copies(folder, file):
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
                raise Damaged(NO_FILE)
            content = read(path, file)
            verify(content, file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Damaged as error:
            complain(f"{path} {error}")
        except PermissionError:
            # Of a folder that may not be searched, each file would be said to be unreadable: name it instead.
            unreadable = path if os.access(path.parent, os.X_OK) else path.parent
            complain(f"{unreadable} cannot be read: Permission denied")
        except OSError as error:
            complain(f"{path} cannot be read: {error.strerror or error}")
        else:
            return path, content
    return None


def copies(folder: Path, file: IdxFile) -> Iterator[tuple[Path, Reader]]:
    """Where ``file`` may lie in ``folder``, each with the function that reads it; quickest first."""
    for subfolder in IDX_FOLDERS:
        yield folder / subfolder / file.name, plain
    for subfolder in IDX_FOLDERS:
        yield folder / subfolder / f"{file.name}.gz", gzipped
    for subfolder in NPZ_FOLDERS:
        yield folder / subfolder / "mnist.npz", keras


def plain(path: Path, file: IdxFile) -> Content:
    """The bytes of an IDX file. Not verified."""
    with path.open("rb") as stream:
        return read_plain(stream, file)


def gzipped(path: Path, file: IdxFile) -> Content:
    """The bytes of a gzip-compressed IDX file. Not verified; raises Damaged if it is not gzip."""
    with path.open("rb") as stream:
        return read_gzip(stream.read, file)


def keras(path: Path, file: IdxFile) -> Content:
    """The IDX file rebuilt from its array in Keras' archive. Not verified; raises Damaged if there is none.

    The array's header is compared with what it must say before any data are read, so that neither a pickle
    nor an array of another size is ever loaded.
    """
    member = f"{file.keras_name}.npy"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            if npy.read_magic(stream) != (1, 0):
                raise Damaged(f"holds {member} in a format other than .npy 1.0")
            shape, column_major, dtype = npy.read_array_header_1_0(stream)
            if (shape, column_major, dtype) != (file.shape, False, np.dtype(np.uint8)):
                raise Damaged(f"holds {member} of shape {shape} and type {dtype}, not {file.shape} uint8")
            content = bytearray(file.header)
            content += stream.read(file.size - len(content))
    except (Damaged, OSError):
        raise
    except KeyError:
        raise Damaged(f"holds no {member}") from None
    except Exception as error:  # zipfile, its decompressors and NumPy's header parser each have their own
        raise Damaged(f"is not a sound .npz: {error or type(error).__name__}") from None
    return np.frombuffer(content, np.uint8)
