"""Safetensors files of NumPy arrays, with a checksum of arrays and metadata in the metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from under20k.errors import UserError, in_words
from under20k.files import parse_json, read_bytes
from under20k.recipe.weights import Tensors

CHECKSUM = "sha256"
"""The entry of the metadata that holds the checksum. Files of the first versions have none."""


def read_tensors(path: Path, entries: Iterable[str]) -> tuple[Tensors, dict[str, str]]:
    """Return the arrays of a safetensors file, and its metadata without the checksum, which is verified.

    ``entries`` are all that the metadata may have. Raises UserError if the file is damaged or was changed.
    """
    data = read_bytes(path)
    try:
        tensors = load(data)
        metadata = _header(data).get("__metadata__", {})
    except (SafetensorError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file: {in_words(error)}") from error
    recorded = metadata.pop(CHECKSUM, None)
    if recorded not in (None, checksum(tensors, metadata)):
        raise UserError(
            f"{path} is damaged: its SHA-256 does not match its content; restore it, or train again with "
            "--overwrite"
        )
    for name in metadata.keys() - set(entries):
        raise UserError(f"{path} is damaged: its metadata has an entry {name!r:.80}")
    return tensors, metadata


def safetensors_bytes(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """Return a safetensors file, with the checksum added to its metadata.

    The same content gives the same bytes; the library alone orders the metadata at random.
    """
    # The library writes arrays correctly only in C order.
    data = save({name: np.asarray(value, order="C") for name, value in tensors.items()})
    end = 8 + int.from_bytes(data[:8], "little")
    metadata = metadata | {CHECKSUM: checksum(tensors, metadata)}
    header = _header(data) | {"__metadata__": dict(sorted(metadata.items()))}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def checksum(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> str:
    """Return the SHA-256, in hexadecimal, of names, types, shapes and values, and of the metadata."""
    shapes = {name: [str(array.dtype), *array.shape] for name, array in tensors.items()}
    sha256 = hashlib.sha256(json.dumps([shapes, metadata], sort_keys=True).encode())
    for name in sorted(tensors):
        sha256.update(
            np.ascontiguousarray(tensors[name]).astype(tensors[name].dtype.newbyteorder("<")).tobytes()
        )
    return sha256.hexdigest()


def _header(data: bytes) -> dict[str, Any]:
    header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")].decode())
    assert isinstance(header, dict)  # otherwise the library would have refused it
    return header
