"""Records: results that anyone can check, each in a folder of its own, by track.

::

    records/<track>/<date>-<name>/
      record.json    recipe, code, environments, each seed's last epoch, time and test reading, statistics
      curves.jsonl   a line a seed: every epoch's figures
      curves.png     the seeds' curves, and their last epochs against the target
      README.md      made from the files above

Records are added, never changed: ``submission`` makes them, ``verification`` says what is wrong with one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from under20k.data.split import split_indices
from under20k.errors import InvalidValue, UserError, in_words, nearest
from under20k.files import read_json, read_text
from under20k.metrics import epoch_metrics, json_object
from under20k.recipe import Recipe
from under20k.run import TEACHERS
from under20k.seeds import Bench, SeedResult
from under20k.statistics import Sample
from under20k.timing import Timing
from under20k.tracks import TRACKS, broken
from under20k.weights import Tensors, check_seed

FORMAT = 1
FILES = ("record.json", "curves.jsonl", "curves.png", "README.md")
OF_EACH_RUN = ("format", "seed", "started", "command", "resumed", "threads", TEACHERS)
"""What an environment says of one run, so that it tells no two apart."""


@dataclass(frozen=True)
class Reading:
    """A seed's reading of the test set."""

    read: str
    """When, in ISO 8601."""
    correct: int
    images: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.images


@dataclass(frozen=True)
class Record:
    """A bench that a track has taken in."""

    track: str
    name: str
    date: str
    bench: Bench
    readings: Mapping[int, tuple[Reading, ...]]
    """Of the test set, by seed."""
    weights: Mapping[int, str]
    """Digest of the trained weights, by seed."""
    timing: Timing | None = None
    """Of the track ``fast``."""
    recorded: Mapping[str, Any] | None = None
    """``record.json`` as it stands, where the record came from one."""
    recorded_curves: str | None = None
    """``curves.jsonl`` likewise."""

    @property
    def folder(self) -> str:
        """Its place among the records: ``fast/2026-01-31-minimal``."""
        return f"{self.track}/{self.date}-{self.name}"

    @cached_property
    def test(self) -> Sample | None:
        """Test accuracies of the seeds, each read once; None where not all were."""
        read = [self.readings.get(seed.seed, ()) for seed in self.bench.seeds]
        if not all(len(readings) == 1 for readings in read):
            return None
        return Sample.of([reading.accuracy for (reading,) in read])

    def environments(self) -> list[dict[str, Any]]:
        """The different environments of the seeds, each with its seeds."""
        found: dict[str, dict[str, Any]] = {}
        for seed in self.bench.seeds:
            own = {name: value for name, value in seed.environment.items() if name not in OF_EACH_RUN}
            entry = found.setdefault(json.dumps(own, sort_keys=True), {"seeds": [], **own})
            entry["seeds"].append(seed.seed)
        return list(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values: ``record.json``."""
        bench, recipe = self.bench, self.bench.recipe
        values: dict[str, Any] = {
            "format": FORMAT,
            "track": self.track,
            "name": self.name,
            "date": self.date,
            "command": bench.command,
            # As it was written: a later version may know settings that this one did not.
            "recipe": recipe.to_dict() if self.recorded is None else self.recorded["recipe"],
            "parameters": recipe.architecture.parameters,
            "macs": recipe.architecture.macs,
            "split": split_text(),
            "environments": self.environments(),
            "seeds": [
                {
                    "seed": seed.seed,
                    "validation_accuracy": seed.validation_accuracy,
                    "time_s": seed.time_s,
                    "threads": seed.environment.get("threads"),
                    "started": seed.environment.get("started"),
                    **of_teachers(seed.environment),
                    "test_readings": [asdict(reading) for reading in self.readings.get(seed.seed, ())],
                    "weights_sha256": self.weights.get(seed.seed),
                }
                for seed in bench.seeds
            ],
            "statistics": bench.statistics.to_dict(),
            "test": None
            if self.test is None
            else {"n": self.test.n, "mean": self.test.mean, "sd": self.test.sd},
        }
        if self.timing is not None:
            values["timing"] = self.timing.to_dict()
        return {**values, "sha256": seal(values, self.curves())}

    def curves(self) -> str:
        """``curves.jsonl``."""
        if self.recorded_curves is not None:
            return self.recorded_curves
        return "".join(
            json.dumps({"seed": seed.seed, "epochs": [asdict(epoch) for epoch in seed.epochs]}) + "\n"
            for seed in self.bench.seeds
        )

    @classmethod
    def open(cls, path: Path) -> Record:
        """The record in a folder. Raises UserError where there is none, or it cannot be read."""
        if not (path / "record.json").is_file():
            raise UserError(f"there is no record in {path}")
        data = read_json(path / "record.json")
        curves = read_text(path / "curves.jsonl")
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else None
            raise UserError(
                f"{path} is a record of format {found!r}; this version of under20k reads {FORMAT}"
            )
        try:
            return cls._read(data, curves)
        except InvalidValue as error:
            raise UserError(f"{path / 'record.json'} is damaged: {error}") from error
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise UserError(f"{path} is damaged: {in_words(error)}") from error

    @classmethod
    def _read(cls, data: dict[str, Any], curves: str) -> Record:
        environments = {
            seed: {name: value for name, value in environment.items() if name != "seeds"}
            for environment in data["environments"]
            for seed in environment["seeds"]
        }
        lines = [json_object(line) for line in curves.splitlines()]
        epochs = {line["seed"]: tuple(map(epoch_metrics, line["epochs"])) for line in lines}
        entries = data["seeds"]
        if [check_seed(entry["seed"]) for entry in entries] != list(epochs):
            raise ValueError("record.json and curves.jsonl are not of the same seeds")
        recipe = Recipe.from_dict(data["recipe"])
        if not epochs or any(len(of_seed) != recipe.epochs for of_seed in epochs.values()):
            raise ValueError(f"curves.jsonl is not of {recipe.epochs} epochs a seed")
        seeds = tuple(
            SeedResult(
                entry["seed"],
                epochs[entry["seed"]],
                {
                    **environments[entry["seed"]],
                    "threads": entry["threads"],
                    "started": entry["started"],
                    **of_teachers(entry),
                },
            )
            for entry in entries
        )
        readings = {
            entry["seed"]: tuple(Reading(**reading) for reading in entry["test_readings"])
            for entry in entries
        }
        record = cls(
            str(data["track"]),
            str(data["name"]),
            str(data["date"]),
            Bench(recipe, seeds, (), str(data["command"]), str(data["date"])),
            readings,
            {entry["seed"]: str(entry["weights_sha256"]) for entry in entries},
            Timing.from_dict(data["timing"]) if data.get("timing") is not None else None,
            data,
            curves,
        )
        record.to_dict()  # raises where a number is none
        return record


def of_teachers(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is noted of a seed's teachers, where it has any."""
    return {TEACHERS: values[TEACHERS]} if TEACHERS in values else {}


@cache
def split_text() -> str:
    """Which images train and which validate: their numbers, and a digest of the indices."""
    train, validation = split_indices()
    digest = hashlib.sha256(train.astype("<i8").tobytes() + validation.astype("<i8").tobytes()).hexdigest()
    return f"{len(train)} train, {len(validation)} validate, sha256 {digest}"


def seal(values: Mapping[str, Any], curves: str) -> str:
    """SHA-256 of what a record was made of: all that does not follow from the rest of it.

    What follows is computed again, to within the rounding of another machine, and so is not sealed.
    """

    def without(of: Mapping[str, Any], *names: str) -> dict[str, Any]:
        return {name: value for name, value in of.items() if name not in names}

    made_of = without(values, "parameters", "macs", "split", "statistics", "test", "sha256")
    made_of["seeds"] = [without(seed, "validation_accuracy", "time_s") for seed in values["seeds"]]
    if "timing" in values:
        made_of["timing"] = without(values["timing"], "median_s", "reference_median_s", "ratio")
    text = json.dumps(made_of, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{text}\n{curves}".encode(errors="backslashreplace")).hexdigest()


def record_folders(records_dir: Path) -> list[Path]:
    """The folders of all records, track by track, the oldest first. Raises UserError for an unknown track."""
    if not records_dir.is_dir():
        raise UserError(f"there is no folder of records {records_dir}; name one with --records-dir")
    tracks = [path for path in sorted(records_dir.iterdir()) if path.is_dir() and path.name[0] != "."]
    if unknown := [path for path in tracks if path.name not in TRACKS]:
        raise UserError(f"{unknown[0]} is no track; {nearest(unknown[0].name, TRACKS)}")
    return [
        folder
        for track in TRACKS
        if (records_dir / track).is_dir()
        for folder in sorted((records_dir / track).iterdir())
        if folder.is_dir() and folder.name[0] != "."
    ]


def read_records(records_dir: Path) -> list[Record]:
    """All records, track by track, the oldest first. Raises UserError where one cannot be read."""
    return [Record.open(folder) for folder in record_folders(records_dir)]


def rules_broken(record: Record) -> list[str]:
    """The rules that a record breaks, in words."""
    return broken(
        record.track,
        record.bench,
        {seed.seed: len(record.readings.get(seed.seed, ())) for seed in record.bench.seeds},
        record.timing,
    )


def weights_digest(weights: Tensors) -> str:
    """SHA-256 of a model's tensors: names, shapes and float32 values, little-endian."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape}\n".encode())
        digest.update(weights[name].astype("<f4").tobytes())
    return digest.hexdigest()
