"""A run's readings of the test set: ``test_readings.jsonl``, a line each, the earliest first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from under20k.errors import UserError, in_words
from under20k.files import is_present, read_text, write_text
from under20k.runs.metrics import json_object
from under20k.runs.plausible import reading_faults


def read_test_readings(path: Path) -> list[dict[str, Any]]:
    """Return the readings in ``path``; none if there is no such file. Raises UserError if it is damaged."""
    if not is_present(path):
        return []
    try:
        readings = [json_object(line) for line in read_text(path).splitlines()]
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {in_words(error)}") from error
    if not readings:
        raise UserError(f"{path} is damaged: it is empty")
    for reading in readings:
        for fault in reading_faults(reading):
            raise UserError(f"{path} is damaged: {fault}")
    return readings


def add_test_reading(path: Path, reading: dict[str, Any]) -> None:
    """Add a reading to ``path``. Raises UserError if the file is damaged: adding to it would hide that."""
    read_test_readings(path)
    before = read_text(path) if is_present(path) else ""
    write_text(path, before + json.dumps(reading, allow_nan=False) + "\n")
