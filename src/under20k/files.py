"""Writing files so that a reader, or a kill at any moment, meets the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from under20k.errors import UserError


def write_bytes(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step. Raises UserError where it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` in one step, in UTF-8. Raises UserError where it cannot be written.

    Bytes of a command line that are no UTF-8 come as surrogates; they are written as JSON escapes them.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Put ``value`` at ``path`` as indented JSON in one step. Raises UserError where it cannot be written."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path with the same ending beside ``path``; what was written there takes its place.

    If the block fails, the temporary file goes and ``path`` stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The ending stays last, since libraries choose a format by it.
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        try:
            os.close(handle)
            yield temporary
            _flush_to_disk(temporary)
            temporary.chmod(0o666 & ~_umask())  # mkstemp keeps others from reading
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove the temporary files that a kill left beside files of these ``names``, which nobody may be
    writing now.
    """
    for name in map(Path, names):
        for left in folder.glob(f".{name.stem}-*{name.suffix}"):
            left.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8. Raises UserError where it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises UserError where it is missing or not JSON."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError
        raise UserError(f"{path} is not JSON: {error}") from error


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
