"""A data set of the shape of MNIST but a few kilobytes long, and ways to lay it out on disk.

``python small_mnist.py FOLDER URL`` fetches it from a mirror into a folder: a process to interrupt.
"""

import gzip
import hashlib
import io
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from under20k.data.fetch import obtain
from under20k.data.idx import MNIST, IdxFile
from under20k.data.sources import Mirror

rng = np.random.default_rng(0)
ARRAYS: list[NDArray[np.uint8]] = [
    rng.integers(0, 256, (60, 28, 28), np.uint8),
    rng.integers(0, 10, 60, np.uint8),
    rng.integers(0, 256, (20, 28, 28), np.uint8),
    rng.integers(0, 10, 20, np.uint8),
]
# The header by hand: two zeros, 8 for uint8, the number of dimensions, then each as four bytes.
BYTES = [
    bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
    for array in ARRAYS
]
FILES = [
    IdxFile(true.name, array.shape, hashlib.sha256(content).hexdigest(), true.keras_name)
    for true, array, content in zip(MNIST, ARRAYS, BYTES, strict=True)
]
CONTENT = dict(zip(FILES, BYTES, strict=True))


def write_plain(folder: Path, files: Sequence[IdxFile] = FILES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_bytes(CONTENT[file])


def write_gzip(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(CONTENT[file]))


def write_keras(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {file.keras_name: array for file, array in zip(FILES, ARRAYS, strict=True)}
    np.savez_compressed(folder / "mnist.npz", **arrays)


def regular(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member, b""


def good_members() -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    return {file.name: regular(f"package/data/{file.name}", CONTENT[file]) for file in FILES}


def tarball(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


if __name__ == "__main__":
    obtain(FILES, Path(sys.argv[1]), sources=[Mirror(sys.argv[2], timeout=60)])
