"""The folder of all records: list them, read them, add one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from under20k.errors import UserError, nearest
from under20k.files import once_free, write_bytes, write_json, write_text
from under20k.runs.names import folded
from under20k.runs.records.record import Record
from under20k.runs.records.record_files import CURVES, MODEL, RECORD
from under20k.runs.records.rules import TRACKS


def record_folders(records_dir: Path) -> list[Path]:
    """Return the folders of all records by track, the oldest first. Raises UserError for an unknown track."""
    if not records_dir.is_dir():
        raise UserError(f"there is no folder {records_dir}; name the one of the records with --records-dir")
    tracks = [path for path in sorted(records_dir.iterdir()) if path.is_dir() and path.name[0] != "."]
    if unknown := [path for path in tracks if path.name not in TRACKS]:
        raise UserError(f"{unknown[0]} is not a track; {nearest(unknown[0].name, TRACKS)}")
    return [
        folder
        for track in TRACKS
        if (records_dir / track).is_dir()
        for folder in sorted((records_dir / track).iterdir())
        if folder.is_dir() and folder.name[0] != "."
    ]


def read_records(records_dir: Path) -> list[Record]:
    """Return all records by track, the oldest first. Raises UserError if one cannot be read."""
    return [Record.open(folder) for folder in record_folders(records_dir)]


def write_record(record: Record, records_dir: Path, model: bytes) -> Path:
    """Add a record's folder, whole or not at all, and return it.

    Args:
        record: what to write.
        records_dir: the folder of all records.
        model: the safetensors file of the record's first seed.

    Raises:
        UserError: there is a record of that name, or the folder cannot be written.
    """
    path = records_dir / record.folder
    if taken := existing(path):
        raise UserError(f"{taken} already exists, and records never change; give another --name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        write_json(temporary / RECORD, record.to_dict())
        write_text(temporary / CURVES, record.curves())
        write_bytes(temporary / MODEL, model)
        temporary.chmod(0o755)
        once_free(lambda: temporary.rename(path))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def existing(path: Path) -> Path | None:
    """Return what exists at ``path``, or would on Windows and macOS, which ignore case."""
    if not path.parent.is_dir():
        return None
    return next((found for found in path.parent.iterdir() if folded(found.name) == folded(path.name)), None)
