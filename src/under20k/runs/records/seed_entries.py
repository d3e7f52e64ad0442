"""A record's seeds as its files list them: in ``record.json`` an entry a seed, in ``curves.jsonl`` a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from under20k.errors import InvalidValue, UserError
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.runs.bench.bench import SeedResult
from under20k.runs.metrics import EpochMetrics, epoch_faults, epoch_metrics, json_object
from under20k.runs.plausible import reading_faults
from under20k.runs.records.fields import check_environment, check_sha256, check_time
from under20k.runs.run import TEACHERS

OPTIONAL = ("resumed", TEACHERS)
"""Entries that only seeds have that were resumed, or have teachers."""
INITIAL = "initial_sha256"
"""The entry that only seeds of a user's own model have."""
OF_ONE_RUN = ("format", "seed", "started", "command", "threads", *OPTIONAL)
"""Entries of an environment that say nothing about the machine or the code: seeds may differ in them."""


@dataclass(frozen=True)
class Reading:
    """A seed's reading of the test set."""

    read: str
    """Date and time in ISO 8601."""
    correct: int
    images: int

    @property
    def accuracy(self) -> float:
        """Test accuracy, as a fraction."""
        return self.correct / self.images

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reading:
        """Invert ``asdict``. Raises InvalidValue or TypeError for anything else."""
        for fault in reading_faults(values):
            raise InvalidValue(fault)
        check_time("read", values["read"])
        return cls(**values)


def seed_entry(seed: SeedResult, readings: Sequence[Reading], weights_sha256: str | None) -> dict[str, Any]:
    """Return the entry of a seed in ``record.json``."""
    return {
        "seed": seed.seed,
        "validation_accuracy": seed.validation_accuracy,
        "time_s": seed.time_s,
        "threads": seed.environment.get("threads"),
        "started": seed.environment.get("started"),
        **_optional(seed.environment),
        "test_readings": [asdict(reading) for reading in readings],
        "weights_sha256": weights_sha256,
    }


def curves_text(seeds: Sequence[SeedResult]) -> str:
    """Return ``curves.jsonl``: a line a seed with the figures of each epoch."""
    return "".join(
        json.dumps({"seed": seed.seed, "epochs": [asdict(epoch) for epoch in seed.epochs]}) + "\n"
        for seed in seeds
    )


def distinct_environments(seeds: Sequence[SeedResult]) -> list[dict[str, Any]]:
    """Return the different environments of ``seeds``, each with the numbers of its seeds."""
    found: dict[str, dict[str, Any]] = {}
    for seed in seeds:
        shared = {name: value for name, value in seed.environment.items() if name not in OF_ONE_RUN}
        entry = found.setdefault(json.dumps(shared, sort_keys=True), {"seeds": [], **shared})
        entry["seeds"].append(seed.seed)
    return list(found.values())


def parse_seeds(values: Mapping[str, Any], curves: str, recipe: Recipe) -> tuple[SeedResult, ...]:
    """Return the seeds of a record; ``check_entry`` looks at each on its own.

    Args:
        values: ``record.json``.
        curves: ``curves.jsonl``.
        recipe: the record's recipe.

    Raises:
        InvalidValue: the two files or the environments disagree about the seeds, or an epoch is missing.
    """
    environments = _environments_by_seed(values["environments"])
    listed = [_parse_curve(number, line) for number, line in enumerate(curves.splitlines(), 1)]
    entries = values["seeds"]
    if [check_seed(entry["seed"]) for entry in entries] != [seed for seed, _ in listed]:
        raise InvalidValue("record.json and curves.jsonl list different seeds")
    epochs = dict(listed)
    if not epochs or any(len(of_seed) != recipe.epochs for of_seed in epochs.values()):
        raise InvalidValue(f"curves.jsonl does not have {recipe.epochs} epochs for each seed")
    if epochs.keys() != environments.keys():
        raise InvalidValue("the environments and curves.jsonl list different seeds")
    return tuple(
        SeedResult(
            entry["seed"],
            epochs[entry["seed"]],
            {
                **environments[entry["seed"]],
                "threads": entry["threads"],
                "started": entry["started"],
                **_optional(entry),
            },
        )
        for entry in entries
    )


def check_entry(seed: SeedResult, entry: Mapping[str, Any], recipe: Recipe) -> tuple[Reading, ...]:
    """Return a seed's test readings if its figures, environment and readings can come from a training.

    Args:
        seed: what ``parse_seeds`` returned.
        entry: its entry in ``record.json``.
        recipe: the record's recipe.

    Raises:
        InvalidValue: names the seed and the first value that is wrong.
    """
    try:
        check_environment(seed.environment)
        for fault in epoch_faults(seed.epochs, recipe):
            raise InvalidValue(fault)
        readings = tuple(Reading.from_dict(values) for values in entry["test_readings"])
        check_sha256("weights_sha256", entry["weights_sha256"])
        if recipe.own is not None:
            check_sha256(INITIAL, entry.get(INITIAL))
    except UserError as error:
        raise InvalidValue(f"seed {seed.seed}: {error}") from error
    return readings


def _environments_by_seed(listed: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for environment in listed:
        shared = {name: value for name, value in environment.items() if name != "seeds"}
        for seed in environment["seeds"]:
            if check_seed(seed) in found:
                raise InvalidValue(f"seed {seed} has two environments")
            found[seed] = shared
    return found


def _parse_curve(number: int, line: str) -> tuple[int, tuple[EpochMetrics, ...]]:
    """Return a seed and its epochs from line ``number`` of ``curves.jsonl``. Raises InvalidValue."""
    try:
        values = json_object(line)
        if unknown := values.keys() - {"seed", "epochs"}:
            raise InvalidValue(f"unknown field {min(unknown)!r}")
        return check_seed(values["seed"]), tuple(map(epoch_metrics, values["epochs"]))
    except KeyError as error:
        raise InvalidValue(f"curves.jsonl, line {number}: {error} is missing") from error
    except (UserError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidValue(f"curves.jsonl, line {number}: {error}") from error


def _optional(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in OPTIONAL if name in values}
