"""Safetensors files of NumPy arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from under20k.errors import UserError
from under20k.weights import Tensors


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """The arrays and the metadata of a safetensors file. Raises UserError where it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError) as error:
        raise UserError(f"{path} is damaged or no safetensors file: {error}") from error


def safetensors_bytes(tensors: Tensors, metadata: dict[str, str]) -> bytes:
    """A safetensors file, the same bytes for the same content: its library orders the metadata by chance."""
    # It writes an array truly in C order only.
    data = save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end]) | {"__metadata__": dict(sorted(metadata.items()))}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]
