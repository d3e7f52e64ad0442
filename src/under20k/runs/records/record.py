"""Records: results that anyone can check, each in a folder of its own, by track.

::

    records/<track>/<date>-<name>/
      record.json        recipe, code, environments, each seed's last epoch, time and test reading, statistics
      curves.jsonl       a line a seed: every epoch's figures
      model.safetensors  the first seed's trained weights, as its run keeps them
      README.md          the record as a page, with curves.png: made from the data (report.records)

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
from under20k.files import is_present, parse_json, read_text
from under20k.recipe.recipe import Recipe
from under20k.recipe.seeds import check_seed
from under20k.recipe.weights import Tensors, check_weights
from under20k.runs.bench.bench import Bench, SeedResult
from under20k.runs.bench.statistics import Sample
from under20k.runs.metrics import EpochMetrics, epoch_metrics, json_object
from under20k.runs.plausible import epoch_faults, reading_faults
from under20k.runs.records.fields import (
    DIGEST,
    NAME,
    check_date,
    check_environment,
    check_time,
    expect,
    text_like,
    words,
)
from under20k.runs.records.rules import TRACKS, broken
from under20k.runs.records.timing import Timing
from under20k.runs.run import INPUT_ENTRIES, TEACHERS
from under20k.runs.tensors import read_tensors

FORMAT = 1
MODEL = "model.safetensors"
FILES = ("record.json", "curves.jsonl", MODEL)
OF_EACH_RUN = ("format", "seed", "started", "command", "resumed", "threads", TEACHERS)
"""What an environment says of one run, so that it tells no two apart."""
IF_ANY = ("resumed", TEACHERS)
"""Of these, what a record's seeds say where there is something to say."""


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

    @classmethod
    def read_from(cls, values: Mapping[str, Any]) -> Reading:
        """The inverse of ``asdict``. Raises InvalidValue or TypeError for anything else."""
        for fault in reading_faults(values):
            raise InvalidValue(fault)
        check_time("read", values["read"])
        return cls(**values)


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
                    **if_any(seed.environment),
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
        # Records of before have none, and are never changed.
        if self.recorded is None or PARTS in self.recorded:
            values[PARTS] = {}
        return sealed(values, self.curves())

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
        text, curves = read_text(path / "record.json"), read_text(path / "curves.jsonl")
        try:
            data = parse_json(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path / 'record.json'} is not JSON: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            found = data.get("format") if isinstance(data, dict) else None
            raise UserError(
                f"{path} is a record of format {found!r}; this version of under20k reads {FORMAT}"
            )
        try:
            return cls._read(data, curves)
        except UserError as error:
            raise UserError(f"{path} is damaged: {error}") from error
        except KeyError as error:
            raise UserError(f"{path} is damaged: it lacks {error}") from error
        except (
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise UserError(f"{path} is damaged: {in_words(error)}") from error

    @classmethod
    def _read(cls, data: dict[str, Any], curves: str) -> Record:
        expect("track", data["track"], data["track"] in TRACKS, f"one of {', '.join(TRACKS)}")
        expect("name", data["name"], text_like(NAME)(data["name"]), "letters, digits and +=.,-")
        expect("command", data["command"], words(data["command"]), "the command of the bench")
        expect("sha256", data["sha256"], text_like(DIGEST)(data["sha256"]), "64 hexadecimal digits")
        check_date("date", data["date"])
        environments = cls._environments(data["environments"])
        curve_list = [_curve(number, line) for number, line in enumerate(curves.splitlines(), 1)]
        epochs = dict(curve_list)
        entries = data["seeds"]
        if [check_seed(entry["seed"]) for entry in entries] != [seed for seed, _ in curve_list]:
            raise InvalidValue("record.json and curves.jsonl are not of the same seeds")
        recipe = Recipe.from_dict(data["recipe"])
        if not epochs or any(len(of_seed) != recipe.epochs for of_seed in epochs.values()):
            raise InvalidValue(f"curves.jsonl is not of {recipe.epochs} epochs a seed")
        if epochs.keys() != environments.keys():
            raise InvalidValue("the environments are not of the same seeds as curves.jsonl")
        seeds = tuple(
            SeedResult(
                entry["seed"],
                epochs[entry["seed"]],
                {
                    **environments[entry["seed"]],
                    "threads": entry["threads"],
                    "started": entry["started"],
                    **if_any(entry),
                },
            )
            for entry in entries
        )
        readings = {}
        for entry, seed in zip(entries, seeds, strict=True):
            try:
                check_environment(seed.environment)
                for fault in epoch_faults(seed.epochs, recipe):
                    raise InvalidValue(fault)
                readings[seed.seed] = tuple(Reading.read_from(values) for values in entry["test_readings"])
                digest = entry["weights_sha256"]
                expect("weights_sha256", digest, text_like(DIGEST)(digest), "64 hexadecimal digits")
            except UserError as error:
                raise InvalidValue(f"seed {seed.seed}: {error}") from error
        record = cls(
            data["track"],
            data["name"],
            data["date"],
            Bench(recipe, seeds, (), data["command"], data["date"]),
            readings,
            {entry["seed"]: entry["weights_sha256"] for entry in entries},
            Timing.from_dict(data["timing"]) if data.get("timing") is not None else None,
            data,
            curves,
        )
        record.to_dict()  # raises where a number is none
        return record

    @staticmethod
    def _environments(listed: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """Each seed's environment."""
        found: dict[int, dict[str, Any]] = {}
        for environment in listed:
            own = {name: value for name, value in environment.items() if name != "seeds"}
            for seed in environment["seeds"]:
                if check_seed(seed) in found:
                    raise InvalidValue(f"seed {seed} has two environments")
                found[seed] = own
        return found


def _curve(number: int, line: str) -> tuple[int, tuple[EpochMetrics, ...]]:
    """A seed and its epochs, from a line of ``curves.jsonl``. Raises InvalidValue where it holds none."""
    try:
        values = json_object(line)
        if more := values.keys() - {"seed", "epochs"}:
            raise InvalidValue(f"{min(more)!r} is no field of a curve")
        return check_seed(values["seed"]), tuple(map(epoch_metrics, values["epochs"]))
    except KeyError as error:
        raise InvalidValue(f"curves.jsonl, line {number}: {error} is missing") from error
    except (UserError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidValue(f"curves.jsonl, line {number}: {error}") from error


def if_any(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is noted of a seed's teachers, where it has any, and whether its training was resumed."""
    return {name: values[name] for name in IF_ANY if name in values}


@cache
def split_text() -> str:
    """Which images train and which validate: their numbers, and a digest of the indices."""
    train, validation = split_indices()
    digest = hashlib.sha256(train.astype("<i8").tobytes() + validation.astype("<i8").tobytes()).hexdigest()
    return f"{len(train)} train, {len(validation)} validate, sha256 {digest}"


PARTS = "parts_sha256"
"""A digest of each part that the seal covers, which says where one that does not fit may be wrong."""


def sealed(values: Mapping[str, Any], curves: str) -> dict[str, Any]:
    """``record.json`` with a seal that fits it and ``curves.jsonl``; so do digests of its parts, if any."""
    with_parts = {PARTS: parts(values, curves)} if PARTS in values else {}
    return {**values, **with_parts, "sha256": seal({**values, **with_parts}, curves)}


def seal(values: Mapping[str, Any], curves: str) -> str:
    """SHA-256 of what a record was made of: all that does not follow from the rest of it.

    What follows is computed again, to within the rounding of another machine, and so is not sealed.
    """
    return _digest({**_sealed(values), PARTS: values[PARTS]} if PARTS in values else _sealed(values), curves)


def parts(values: Mapping[str, Any], curves: str) -> dict[str, str]:
    """Digests of a record's parts: of ``record.json``'s and of ``curves.jsonl``."""
    made_of = _sealed(values)
    own = {
        name: made_of.pop(name) for name in ("recipe", "environments", "seeds", "timing") if name in made_of
    }
    return {name: _digest(part, "") for name, part in (own | {"heading": made_of}).items()} | {
        "curves.jsonl": _digest({}, curves)
    }


def _sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """``record.json`` without what follows from the rest of it, and without digests of it."""

    def without(of: Mapping[str, Any], *names: str) -> dict[str, Any]:
        return {name: value for name, value in of.items() if name not in names}

    made_of = without(values, "parameters", "macs", "split", "statistics", "test", "sha256", PARTS)
    made_of["seeds"] = [without(seed, "validation_accuracy", "time_s") for seed in values["seeds"]]
    if "timing" in values:
        made_of["timing"] = without(values["timing"], "median_s", "reference_median_s", "ratio")
    return made_of


def _digest(values: Any, curves: str) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
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


def kept_model(path: Path, record: Record) -> Tensors:
    """The weights of the record's first seed, from its folder.

    Raises UserError where they are missing or damaged, another recipe's or seed's, or not those whose digest
    the record has.
    """
    file, seed = path / MODEL, record.bench.seeds[0].seed
    if not is_present(file):
        raise UserError(f"{MODEL} is missing")
    tensors, metadata = read_tensors(file, ("recipe", "seed", *INPUT_ENTRIES))
    try:
        own = Recipe.from_json(metadata.get("recipe", "")), metadata.get("seed")
        check_weights(record.bench.recipe.architecture, tensors)
    except UserError as error:
        raise UserError(f"{MODEL}: {error}") from error
    if own != (record.bench.recipe, str(seed)):
        raise UserError(f"{MODEL} is of another recipe or seed; the record's first seed is {seed}")
    if weights_digest(tensors) != record.weights[seed]:
        raise UserError(f"{MODEL} does not hold the weights of seed {seed} whose digest is in record.json")
    return tensors
