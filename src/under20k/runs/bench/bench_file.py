"""``bench.json``: a line per seed, with epochs as columns; entries common to all seeds are stored once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 2
"""Of the file; format 1 held the plain values of ``Bench.to_dict`` as they are."""
MISSING = object()


def bench_text(values: Mapping[str, Any]) -> str:
    """Return the text of ``bench.json`` for the plain values of ``Bench.to_dict``."""
    seeds = [{**seed, "epochs": _columns(seed["epochs"])} for seed in values["seeds"]]
    environment, epochs = (_common([seed[name] for seed in seeds]) for name in ("environment", "epochs"))
    lines = [
        _line(
            {
                **seed,
                "environment": _without(seed["environment"], environment),
                "epochs": _without(seed["epochs"], epochs),
            }
        )
        for seed in seeds
    ]
    head = {**values, "format": FORMAT, "environment": environment, "epochs": epochs}
    del head["seeds"]
    entries = [f"{_line(name)}: {_line(value)}" for name, value in head.items()]
    entries.append('"seeds": [\n' + ",\n".join(lines) + "\n]")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def unpacked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of ``Bench.to_dict`` for the parsed JSON of ``bench_text``.

    Raises KeyError, TypeError, AttributeError or ValueError for anything else.
    """
    values = {**data, "format": 1}
    environment, epochs = values.pop("environment"), values.pop("epochs")
    values["seeds"] = [
        {
            **seed,
            "environment": {**environment, **seed["environment"]},
            "epochs": _rows({**epochs, **seed["epochs"]}),
        }
        for seed in data["seeds"]
    ]
    return values


def _common(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entries that all have with the same value."""
    first, *others = values
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name, MISSING) == value for other in others)
    }


def _without(values: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in common}


def _columns(epochs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [epoch[name] for epoch in epochs] for name in epochs[0]}


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
