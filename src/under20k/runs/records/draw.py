"""Draw seeds and records to rerun: the same ones for the same text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from under20k.runs.records.record import Record


def draw(record: Record, count: int, source: str) -> list[int]:
    """Draw ``count`` seeds of ``record`` by the text ``source``; all of them if there are fewer."""
    seeds = [seed.seed for seed in record.bench.seeds]
    return sorted(sorted(seeds, key=lambda seed: _lot(source, record.folder, seed))[:count])


def draw_records(records: Sequence[Record], count: int, source: str) -> list[Record]:
    """Draw ``count`` of ``records`` by the text ``source``, in their own order."""
    chosen = sorted(records, key=lambda record: _lot(source, record.folder))[:count]
    return [record for record in records if record in chosen]


def _lot(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="backslashreplace")).hexdigest()
