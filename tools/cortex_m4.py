"""The table of docs/export-c.md: what models in C take of a Cortex-M4, from the proofs of tools.exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.exports import JSON
from under20k.deploy.export.cortex_m4 import NAME
from under20k.files import read_json
from under20k.report.tables import Table

HEADER = ("Recipe", "Format", "Flash, bytes", "RAM, bytes", "Of it, buffer", "Instructions an image")


def cortex_m4_section(path: Path = JSON) -> str:
    """Return the page's table, or how to measure it if there is no measurement."""
    rows = tuple(map(row, found(read_json(path)["proofs"]))) if path.exists() else ()
    if not rows:
        return "Not measured yet: `python -m tools.exports` does it."
    return Table(HEADER, rows, align="ll" + "r" * 4).markdown()


def found(proofs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the proofs that hold a Cortex-M4."""
    return [proof for proof in proofs if isinstance(proof["extra"].get(NAME), dict)]


def row(proof: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a proof as a row of the table."""
    measured = proof["extra"][NAME]
    figures = (
        measured["bytes_of_flash"],
        measured["bytes_of_RAM"],
        proof["extra"]["work_buffer_bytes"],
        measured["instructions_per_image"],
    )
    return (proof["recipe"], proof["format"], *(f"{figure:,}" for figure in figures))
