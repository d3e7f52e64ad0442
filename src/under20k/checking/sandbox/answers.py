"""What a model's process reports, read with care: the model's own code could have written it."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from under20k.checking.findings import LAYER_FACTS, STATUSES, Finding

Kinds = dict[str, tuple[type, ...]]
JUDGED: Kinds = {
    "profile": (str,),
    "passed": (bool,),
    "parameters": (int,),
    "macs": (int,),
    "findings": (list,),
    "layers": (list,),
    "notes": (list,),
}
FINDING: Kinds = {f.name: (str,) for f in fields(Finding)}
MEASURED: Kinds = {
    "split": (str,),
    "images": (int,),
    "normalisation": (str,),
    "normalisation_is": (str,),
    "mean": (float, int),
    "std": (float, int),
}
FIGURES: Kinds = {"correct": (int,), "accuracy": (float,)}


def report(result: Any) -> dict[str, Any] | None:
    """What is known of a report, None where it is none; without control characters, which steer terminals."""
    result = _plain(result)
    if not isinstance(result, dict):
        return None
    if "weights_error" in result:
        error = result["weights_error"]
        return {"weights_error": error} if isinstance(error, str) else None
    if "error" in result:
        error, notes = result["error"], result.get("notes", [])
        return {"error": error, "notes": notes} if isinstance(error, str) and _are_texts(notes) else None
    known = all(
        (
            _has(result, JUDGED),
            _are_texts(result.get("notes")),
            "accuracy" not in result or _is_measured(result["accuracy"]),
        )
    )
    if (
        not known
        or not all(map(_is_finding, result["findings"]))
        or not all(map(_is_layer, result["layers"]))
    ):
        return None
    return {name: result[name] for name in (*JUDGED, "accuracy") if name in result}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "�", value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_measured(row: Any) -> bool:
    return _has(row, MEASURED) and (_has(row, FIGURES) or _has(row, {"warning": (str,)}))


def _has(row: Any, kinds: Kinds) -> bool:
    # By the exact type, since True is an int too.
    return isinstance(row, dict) and all(type(row.get(name)) in types for name, types in kinds.items())


def _is_finding(row: Any) -> bool:
    return _has(row, FINDING) and row.keys() == FINDING.keys() and row["status"] in STATUSES


def _is_layer(row: Any) -> bool:
    return (
        _has(row, LAYER_FACTS)
        and row.keys() == LAYER_FACTS.keys()
        and all(type(side) is int for side in row["shape"])
        and all(isinstance(kind, str) for kind in row["followed_by"])
    )
