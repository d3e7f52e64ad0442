"""MNIST's four IDX files: reading and verifying their bytes, and viewing them as arrays.

A file is read once, into memory; hash and array are of that one buffer. A memory map would save the reading,
but another process could then change the images after they were hashed, or crash this one by truncating them.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Content: TypeAlias = NDArray[np.uint8]
"""All bytes of an uncompressed IDX file, (size,)."""

CHUNK_BYTES = 1 << 18


class Damaged(Exception):
    """The bytes are not those of the file; the message continues the file's name."""


@dataclass(frozen=True)
class IdxFile:
    """An IDX file of bytes: a header that states the shape, then the array in C order."""

    name: str
    shape: tuple[int, ...]
    """(images, rows, columns) or (labels,)."""
    sha256: str
    """SHA-256 of the uncompressed file, in hexadecimal."""
    keras_name: str
    """Name of the array in Keras' ``mnist.npz``."""

    @property
    def header(self) -> bytes:
        """Return two zero bytes, 8 for ``uint8``, the number of dimensions, and each of them, big-endian."""
        return struct.pack(f">HBB{len(self.shape)}I", 0, 8, len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        """Return the size of the uncompressed file in bytes."""
        return len(self.header) + math.prod(self.shape)

    def array(self, content: Content) -> NDArray[np.uint8]:
        """View verified ``content`` as the array of shape ``shape``, ``uint8``, C-contiguous."""
        return content[len(self.header) :].reshape(self.shape)


TRAIN = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "x_train",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "y_train",
    ),
)
"""Images and labels of the 60,000 that are split into train and validation."""

TEST = (
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "x_test",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "y_test",
    ),
)
"""The 10,000 test images and their labels."""

MNIST = TRAIN + TEST


def read_plain(stream: io.BufferedIOBase, file: IdxFile) -> Content:
    """Read the rest of ``stream``, not verified, up to one byte more than ``file`` has."""
    buffer = np.empty(file.size + 1, np.uint8)  # unlike a bytearray, not zeroed first
    # A buffered stream fills all of it unless it ends early.
    return buffer[: stream.readinto(buffer.data)]


def read_gzip(
    read: Callable[[int], bytes], file: IdxFile, progress: Callable[[int], None] = lambda done: None
) -> Content:
    """Unpack a gzip stream, not verified.

    Neither reads nor unpacks many more bytes than ``file`` has, whatever the stream claims.

    Args:
        read: returns up to that many bytes of the stream.
        file: bounds the size.
        progress: called with the number of bytes unpacked so far.

    Raises:
        Damaged: if the stream is not gzip.
    """
    unpacked = bytearray()
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: expect a gzip header
    # Incompressible data grow by less than this; endless empty blocks by more.
    packed_limit = file.size + file.size // 100 + 4096
    packed = 0
    while not unpacker.eof and len(unpacked) <= file.size and packed <= packed_limit:
        chunk = read(CHUNK_BYTES)
        if not chunk:
            break
        packed += len(chunk)
        try:
            unpacked += unpacker.decompress(chunk, file.size + 1 - len(unpacked))
        except zlib.error as error:
            raise Damaged(f"is not valid gzip: {error}") from None
        progress(min(len(unpacked), file.size))
    return np.frombuffer(unpacked, np.uint8)


def verify(content: Content, file: IdxFile) -> None:
    """Raise Damaged, with both hashes, unless ``content`` is exactly ``file``."""
    if len(content) > file.size:
        raise Damaged(f"is longer than the expected {file.size:,} bytes")
    found = hashlib.sha256(content.data).hexdigest()
    if found != file.sha256:
        short = f" and has {len(content):,} of {file.size:,} bytes" if len(content) < file.size else ""
        raise Damaged(f"has SHA-256 {found}, not {file.sha256}{short}")
