"""Atomic writes, JSON and text: a reader, or a kill at any moment, finds the old content or the new.

This also holds on Windows, which flushes a file only through a writable handle, does not replace or remove a
file that another program has open, and limits paths to 259 characters by default.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import math
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from under20k.errors import UserError

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SIZE_LIMIT = 1 << 28  # bytes of a file to read: a thousand times a run's largest
WINDOWS_PATH_LIMIT = 259  # characters of an absolute path
RETRY_S = 2.0  # virus scanners and indexers on Windows close a file within that time
PAUSE_S = 0.02


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically. Raises UserError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, in UTF-8. Raises UserError if it cannot be written.

    Surrogates, from command-line bytes that are not UTF-8, are escaped as in JSON.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON. Raises UserError if it cannot be written."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``, with its suffix; after the block it replaces ``path``.

    If the block fails, the temporary file is removed and ``path`` stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept, since libraries choose a format by it.
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        try:
            os.close(handle)
            yield temporary
            _flush_to_disk(temporary)
            temporary.chmod(0o666 & ~_umask())  # mkstemp makes it private
            once_free(lambda: temporary.replace(path))
        finally:
            once_free(lambda: temporary.unlink(missing_ok=True))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error, path)}") from error


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to ``path``; after the block it replaces ``path``, if that exists.

    If the block fails, the temporary folder and parents made for it are removed, and ``path`` stays as it
    was.
    """
    made = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush_to_disk(file)
            temporary.chmod(0o777 & ~_umask())  # mkdtemp makes it private
            if path.exists():
                _exchange(temporary, path)
            else:
                once_free(lambda: temporary.rename(path))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error, path)}") from error
    finally:
        for parent in made:
            with contextlib.suppress(OSError):  # it is not empty, or was never made
                parent.rmdir()


def remove(path: Path) -> None:
    """Remove a file if it exists. Raises UserError if that fails."""
    try:
        once_free(lambda: path.unlink(missing_ok=True))
    except OSError as error:
        raise UserError(f"{path} cannot be removed: {reason(error, path)}") from error


def check_room(path: Path) -> None:
    """Raise UserError on Windows if ``path``, or its temporary file, is too long.

    Checked beforehand, since the longest path of a run is written only at the end of the training.
    """
    if os.name != "nt":
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        once_free(lambda: os.unlink(name))
    except OSError as error:
        raise UserError(f"{path.parent} cannot be written: {reason(error, path)}") from error


def once_free(operation: Callable[[], object]) -> None:
    """Do ``operation`` on a file; on Windows, retry for a while if another program has the file open."""
    deadline = time.monotonic() + RETRY_S
    while True:
        try:
            operation()
            return
        except PermissionError:
            if os.name != "nt" or time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)


def reason(error: OSError, path: Path) -> str:
    """Describe why an operation on ``path`` failed, with details that Windows' own message omits."""
    text = error.strerror or str(error)
    if os.name != "nt":
        return text
    if isinstance(error, PermissionError) and path.is_file():
        return f"{text}; is it open in another program, or read-only?"
    # The longest of the names involved, temporary ones included, is the one over the limit.
    length = max(len(os.path.abspath(name)) for name in (path, error.filename, error.filename2) if name)
    if length > WINDOWS_PATH_LIMIT:
        return (
            f"its path, {length} characters, is longer than the {WINDOWS_PATH_LIMIT} that Windows allows; "
            "use a shorter folder or name, or turn on long paths in Windows"
        )
    return text


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove temporary files that killed writers of ``names`` left behind; no writer may be active."""
    for name in map(Path, names):
        for left in folder.glob(f".{name.stem}-*{name.suffix}"):
            remove(left)


def is_present(path: Path) -> bool:
    """Tell whether ``path`` is a regular file or a link to one.

    Raises UserError if it is anything else, such as a folder, a named pipe or a dangling link.
    """
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return True
    except OSError as error:
        if not os.path.lexists(path):
            return False
        raise UserError(f"{path} cannot be read: {reason(error, path)}") from error
    what = "a folder, not a file" if path.is_dir() else "not a regular file"
    raise UserError(f"{path} is {what}; move it away")


def read_bytes(path: Path) -> bytes:
    """Read a file. Raises UserError if it is missing, not a regular file, or too large to be under20k's."""
    if not is_present(path):
        raise UserError(f"{path} cannot be read: {os.strerror(errno.ENOENT)}")
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason(error, path)}") from error
    if len(content) > SIZE_LIMIT:
        raise UserError(f"{path} has more than {SIZE_LIMIT >> 20} MiB, which no file of under20k has")
    return content


def read_text(path: Path) -> str:
    """Read a text file as ``decoded`` does. Raises UserError if it is missing, not regular or not text."""
    try:
        return decoded(read_bytes(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error


def decoded(data: bytes) -> str:
    """Decode UTF-8 or, as Notepad and PowerShell write it, the encoding of a byte order mark.

    UTF-16 without the mark is recognised by the zero byte in its first character. Lines end in ``\\n``.
    Raises UnicodeDecodeError for anything else.
    """
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and len(data) > 1 and 0 in data[:2]:
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UserError if it is missing or not JSON."""
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def parse_json(text: str) -> Any:
    """Parse a JSON text strictly.

    Raises ValueError, with the reason and the position, for anything else: also for NaN and Infinity, a
    number beyond the range of floats, and a duplicate name.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"it holds {name}, which is not a number in JSON")

    def finite(digits: str) -> float:
        if not math.isfinite(value := float(digits)):
            raise ValueError(f"it holds {digits:.80}, which is beyond the range of floats")
        return value

    def whole(digits: str) -> int:
        try:
            return int(digits)
        except ValueError:  # Python's own limit, whose message explains how to raise it
            raise ValueError("it holds a number of thousands of digits") from None

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):  # readers differ in which of the two they take
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"it holds {twice!r:.80} twice in one object")
        return values

    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            parse_constant=refuse,
            parse_float=finite,
            parse_int=whole,
            object_pairs_hook=unique,
        )
    except json.JSONDecodeError as error:
        found = "it is empty" if not text.strip() else error.msg
        raise ValueError(f"{found} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_format(value: Any, known: Sequence[int], what: str) -> dict[str, Any]:
    """Return ``value`` if it is an object whose ``format`` is one of those this version reads.

    Args:
        value: the content of a JSON file.
        known: the formats that this version reads.
        what: begins the message, such as ``runs/minimal-0 is a run folder``.

    Raises:
        UserError: names the format found and those known.
    """
    found = value.get("format") if isinstance(value, dict) else None
    if not isinstance(value, dict) or found not in known:
        readable = " and ".join(map(str, known))
        raise UserError(f"{what} of format {found!r}; this version of under20k reads {readable}")
    return value


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:  # Windows flushes only through a writable handle
        os.fsync(file.fileno())


def _exchange(new: Path, old: Path) -> None:
    """Put the folder ``new`` in the place of ``old``, and remove that; undo it if that fails half-way."""
    aside = Path(tempfile.mkdtemp(prefix=f".{old.name}-", dir=old.parent))
    try:
        once_free(lambda: old.rename(aside / old.name))
        try:
            once_free(lambda: new.rename(old))
        except BaseException:
            (aside / old.name).rename(old)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
