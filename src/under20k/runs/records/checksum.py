"""Checksums of a record: one of all that its other numbers do not determine, and one of each part of that.

Statistics are left out: they are recomputed, and another machine may round them otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "sha256"
"""The entry of ``record.json`` for the checksum of the whole."""
PARTS = "parts_sha256"
"""The entry for the checksums of the parts, which say where a change is. Older records have none."""
DERIVED = ("parameters", "macs", "split", "statistics", "test")
"""Entries that follow from the others."""


def with_checksums(values: Mapping[str, Any], curves: str) -> dict[str, Any]:
    """Return the values of ``record.json`` with checksums that match them and ``curves.jsonl``.

    The parts get checksums only if ``values`` has an entry for them: older records have none and never
    change.
    """
    parts = {PARTS: part_checksums(values, curves)} if PARTS in values else {}
    return {**values, **parts, CHECKSUM: _sha256({**_primary(values), **parts}, curves)}


def without_checksums(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of ``record.json`` without its checksums."""
    return _without(values, CHECKSUM, PARTS)


def part_checksums(values: Mapping[str, Any], curves: str) -> dict[str, str]:
    """Return the checksum of each part of ``record.json``, by name, and of ``curves.jsonl``."""
    rest = _primary(values)
    parts = {name: rest.pop(name) for name in ("recipe", "environments", "seeds", "timing") if name in rest}
    return {
        **{name: _sha256(part, "") for name, part in (parts | {"heading": rest}).items()},
        "curves.jsonl": _sha256({}, curves),
    }


def checksum_mismatch(recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return a finding if recorded checksums are not the expected ones; it names the parts that changed."""
    if recorded[CHECKSUM] == expected[CHECKSUM] and recorded.get(PARTS) == expected.get(PARTS):
        return []
    if not isinstance(recorded.get(PARTS), dict):
        return [
            "the checksum, sha256, does not match: after the record was written, someone changed the recipe, "
            "an environment, a seed's start, threads, test reading or weights checksum, the timing, or a "
            "figure of curves.jsonl"
        ]
    changed = [name for name, checksum in expected[PARTS].items() if recorded[PARTS].get(name) != checksum]
    in_full = {"heading": "track, name, date, command"}
    parts = ", ".join(in_full.get(name, name) for name in changed) or "the checksum itself"
    return [f"the checksum, sha256, does not match: changed after the record was written: {parts}"]


def _primary(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``record.json`` without the checksums and the derived entries."""
    primary = _without(values, *DERIVED, CHECKSUM, PARTS)
    primary["seeds"] = [_without(seed, "validation_accuracy", "time_s") for seed in values["seeds"]]
    if "timing" in values:
        primary["timing"] = _without(values["timing"], "median_s", "reference_median_s", "ratio")
    return primary


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _sha256(values: Any, curves: str) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{text}\n{curves}".encode(errors="backslashreplace")).hexdigest()
