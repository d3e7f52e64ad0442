"""The data files of a record as they stand on disk, not yet checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from under20k.errors import UserError
from under20k.files import check_format, parse_json, read_text

FORMAT = 1
RECORD, CURVES, MODEL = "record.json", "curves.jsonl", "model.safetensors"
FILES = (RECORD, CURVES, MODEL)


@dataclass(frozen=True)
class RecordFiles:
    """What ``record.json`` and ``curves.jsonl`` in a folder hold."""

    path: Path
    """The record's folder."""
    values: dict[str, Any]
    """``record.json``."""
    curves: str
    """``curves.jsonl``."""

    @classmethod
    def read(cls, path: Path) -> RecordFiles:
        """Read the files in ``path``. Raises UserError if one is missing, not JSON or of another format."""
        if not (path / RECORD).is_file():
            raise UserError(f"there is no record in {path}")
        text, curves = read_text(path / RECORD), read_text(path / CURVES)
        try:
            values = parse_json(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path / RECORD} is not JSON: {error}") from error
        return cls(path, check_format(values, (FORMAT,), f"{path} is a record"), curves)
