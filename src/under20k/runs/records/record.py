"""Records: results that anyone can check, each in a folder of its own, by track.

::

    records/<track>/<date>-<name>/
      record.json        recipe, environments, statistics; each seed's last epoch, time and test reading
      curves.jsonl       a line a seed: every epoch's figures
      model.safetensors  the trained weights of the first seed, as its run keeps them
      README.md          the record as a page, with curves.png: generated from the data (report.records)

Records are added, never changed: ``submit`` makes them, ``verify`` reports what is wrong with one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from under20k.data.split import split_indices
from under20k.drawing import Drawable
from under20k.errors import UserError, in_words
from under20k.recipe.recipe import Recipe
from under20k.runs.bench.bench import Bench
from under20k.runs.bench.statistics import Sample
from under20k.runs.records.checksum import CHECKSUM, PARTS, with_checksums
from under20k.runs.records.fields import NAME, check_date, check_sha256, expect, is_text, text_like
from under20k.runs.records.record_files import FORMAT, RecordFiles
from under20k.runs.records.rules import TRACKS, broken
from under20k.runs.records.seed_entries import (
    INITIAL,
    Reading,
    check_entry,
    curves_text,
    distinct_environments,
    parse_seeds,
    seed_entry,
)
from under20k.runs.records.timing import Timing


@dataclass(frozen=True)
class Record(Drawable):
    """A bench submitted to a track."""

    track: str
    name: str
    date: str
    """YYYY-MM-DD."""
    bench: Bench
    readings: Mapping[int, tuple[Reading, ...]]
    """Readings of the test set, by seed."""
    weights: Mapping[int, str]
    """Checksum of the trained weights, by seed."""
    timing: Timing | None = None
    """Only in the track ``fast``."""
    initial: Mapping[int, str] = field(default_factory=dict)
    """Checksum of the initial weights, by seed; only of a user's own model, whose code is not run again."""

    def __repr__(self) -> str:
        return f"Record({self.folder}: {self.bench!r})"

    @property
    def folder(self) -> str:
        """The record's path below the folder of all records: ``fast/2026-01-31-minimal``."""
        return f"{self.track}/{self.date}-{self.name}"

    @cached_property
    def test(self) -> Sample | None:
        """Test accuracies of the seeds; None unless each seed read the test set exactly once."""
        readings = [self.readings.get(seed.seed, ()) for seed in self.bench.seeds]
        if not all(len(of_seed) == 1 for of_seed in readings):
            return None
        return Sample.of([reading.accuracy for (reading,) in readings])

    def rules_broken(self) -> list[str]:
        """Return the rules of the track that the record breaks, a sentence each."""
        counts = {seed.seed: len(self.readings.get(seed.seed, ())) for seed in self.bench.seeds}
        return broken(self.track, self.bench, counts, self.timing)

    def environments(self) -> list[dict[str, Any]]:
        """Return the different environments of the seeds, each with the numbers of its seeds."""
        return distinct_environments(self.bench.seeds)

    def curves(self) -> str:
        """Return ``curves.jsonl``."""
        return curves_text(self.bench.seeds)

    def to_dict(self) -> dict[str, Any]:
        """Return ``record.json`` as plain values."""
        bench, recipe = self.bench, self.bench.recipe
        values: dict[str, Any] = {
            "format": FORMAT,
            "track": self.track,
            "name": self.name,
            "date": self.date,
            "command": bench.command,
            "recipe": recipe.to_dict(),
            "parameters": recipe.architecture.parameters,
            "macs": recipe.architecture.macs,
            "split": split_text(),
            "environments": self.environments(),
            "seeds": [
                seed_entry(seed, self.readings.get(seed.seed, ()), self.weights.get(seed.seed))
                | ({INITIAL: self.initial[seed.seed]} if seed.seed in self.initial else {})
                for seed in bench.seeds
            ],
            "statistics": bench.statistics.to_dict(),
            "test": None
            if self.test is None
            else {"n": self.test.n, "mean": self.test.mean, "sd": self.test.sd},
        }
        if self.timing is not None:
            values["timing"] = self.timing.to_dict()
        return with_checksums({**values, PARTS: {}}, self.curves())

    def expected(self, files: RecordFiles) -> dict[str, Any]:
        """Return what ``record.json`` in ``files``, which this record was read from, should hold.

        The recipe stays as written, since a later version may know more settings, and a record without
        checksums of its parts gets none.
        """
        values = {**self.to_dict(), "recipe": files.values["recipe"]}
        if PARTS not in files.values:
            del values[PARTS]
        return with_checksums(values, files.curves)

    @classmethod
    def open(cls, path: Path) -> Record:
        """Return the record in a folder. Raises UserError if there is none, or it cannot be read."""
        return cls.from_files(RecordFiles.read(path))

    @classmethod
    def from_files(cls, files: RecordFiles) -> Record:
        """Return the record that ``files`` hold. Raises UserError if they are damaged."""
        try:
            return cls.from_json(files.values, files.curves)
        except UserError as error:
            raise UserError(f"{files.path} is damaged: {error}") from error
        except KeyError as error:
            raise UserError(f"{files.path} is damaged: it lacks {error}") from error
        except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise UserError(f"{files.path} is damaged: {in_words(error)}") from error

    @classmethod
    def from_json(cls, data: Mapping[str, Any], curves: str) -> Record:
        """Return the record of the values of ``record.json`` and the text of ``curves.jsonl``.

        Raises InvalidValue, or what Python raises for values of the wrong kind.
        """
        expect("track", data["track"], data["track"] in TRACKS, f"one of {', '.join(TRACKS)}")
        expect("name", data["name"], text_like(NAME)(data["name"]), "letters, digits and +=.,-")
        expect("command", data["command"], is_text(data["command"]), "the command of the bench")
        check_sha256(CHECKSUM, data[CHECKSUM])
        check_date("date", data["date"])
        recipe = Recipe.from_dict(data["recipe"])
        seeds = parse_seeds(data, curves, recipe)
        readings = {
            seed.seed: check_entry(seed, entry, recipe)
            for seed, entry in zip(seeds, data["seeds"], strict=True)
        }
        record = cls(
            data["track"],
            data["name"],
            data["date"],
            Bench(recipe, seeds, (), data["command"], data["date"]),
            readings,
            {entry["seed"]: entry["weights_sha256"] for entry in data["seeds"]},
            Timing.from_dict(data["timing"]) if data.get("timing") is not None else None,
            {entry["seed"]: entry[INITIAL] for entry in data["seeds"] if INITIAL in entry},
        )
        record.to_dict()  # raises if a statistic cannot be computed
        return record


@cache
def split_text() -> str:
    """Return the sizes of the training and validation splits, and a checksum of their image indices."""
    train, validation = split_indices()
    digest = hashlib.sha256(train.astype("<i8").tobytes() + validation.astype("<i8").tobytes()).hexdigest()
    return f"{len(train)} train, {len(validation)} validate, sha256 {digest}"
