"""A leaderboard over runs, benches and records."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from under20k.drawing import Drawable
from under20k.errors import UserError, nearest
from under20k.files import is_present
from under20k.formatting import title
from under20k.recipe.fields import instance
from under20k.runs.bench.bench import FILE, Bench, SeedResult, Statistics
from under20k.runs.bench.run_bench import BenchResult
from under20k.runs.bench.significance import Difference
from under20k.runs.bench.statistics import Sample
from under20k.runs.named_folders import folders_named, is_name, one_folder
from under20k.runs.records.record import Record
from under20k.runs.run import Run

SUGGESTED = 3
"""Runs that an error names."""
SHOWN = 3
"""Entries that a leaderboard names in its one line."""


@dataclass(frozen=True)
class Entry(Drawable):
    """A row of the leaderboard. Accuracies are fractions; validation is at the last epoch."""

    name: str
    kind: str
    """run, bench or record."""
    path: str
    parameters: int
    macs: int
    epochs: int
    statistics: Statistics
    test: Sample | None
    """Test accuracy, if every seed read the test set."""
    times_differ_in: str = ""
    """As in ``Bench``."""

    def __repr__(self) -> str:
        seeds = f" of {self.validation.n} seeds" if self.kind != "run" else ""
        figures = f"{self.parameters:,} parameters, validation {self.validation}"
        return f"Entry({title(self.name)}: {self.kind}{seeds}, {figures})"

    @property
    def validation(self) -> Sample:
        return self.statistics.summary.last

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and CSV."""
        validation, summary = self.validation, self.statistics.summary
        return {
            "name": self.name,
            "kind": self.kind,
            "path": self.path,
            "parameters": self.parameters,
            "macs": self.macs,
            "epochs": self.epochs,
            "n": validation.n,
            "validation_mean": validation.mean,
            "validation_sd": validation.sd,
            "share_at_target": summary.share_at_last,
            "p_exceeds_target": self.statistics.p_exceeds_target,
            "time_s": self.statistics.time_s.mean,
            "times_differ_in": self.times_differ_in or None,
            "test_mean": None if self.test is None else self.test.mean,
            "test_sd": None if self.test is None else self.test.sd,
        }


class Leaderboard(Drawable, list[Entry]):
    """A list of entries, which a notebook shows as a table and a picture."""

    def __repr__(self) -> str:
        shown = [f"{title(entry.name)} {entry.validation}" for entry in self[:SHOWN]]
        return f"Leaderboard({', '.join(shown + ['…'] * (len(self) > SHOWN))})"


# Sort keys, each with the best first; missing values come last.
KEYS: dict[str, Callable[[Entry], float | None]] = {
    "accuracy": lambda entry: -entry.validation.mean,
    "parameters": lambda entry: entry.parameters,
    "macs": lambda entry: entry.macs,
    "sd": lambda entry: entry.validation.sd,
    "share": lambda entry: -entry.statistics.summary.share_at_last,
    "p": lambda entry: entry.statistics.p_exceeds_target,
    "seconds": lambda entry: entry.statistics.time_s.mean,
    "test": lambda entry: None if entry.test is None else -entry.test.mean,
}


def compare(paths: Sequence[Path | str | Run | BenchResult], sort: str = "accuracy") -> Leaderboard:
    """Return the runs, benches and records in these folders, sorted by one of ``KEYS``, the best first.

    A run, or what ``bench`` returns, stands for its folders; the name of a recipe or of a user's own model,
    such as ``model.py:Net``, for its benches in ./benches, or else its runs in ./runs. A folder that is named
    twice is listed once. Raises UserError for a folder that holds none, or an unfinished run.
    """
    if sort not in KEYS:
        raise UserError(f"a leaderboard cannot be sorted by {sort!r}; {nearest(sort, KEYS)}")
    expected = "a list of folders, runs or benches"
    instance("paths", paths, list | tuple, expected)
    for path in paths:
        instance("paths", path, Path | str | Run | BenchResult, expected)
    if not paths:
        raise UserError("nothing to compare; name runs, benches or records")
    folders = [folder for path in paths for folder in _folders_of(path)]
    once = {folder.absolute(): folder for folder in reversed(folders)}  # under the first of its names
    return ranked([entry_of(folder) for folder in reversed(once.values())], sort)


def _folders_of(path: Path | str | Run | BenchResult) -> list[Path]:
    if isinstance(path, BenchResult):
        return [folder for folder in (path.folder, path.other_folder) if folder]
    if isinstance(path, Run):
        return [path.path]
    return folders_named(str(path)) if is_name(str(path)) else [Path(path)]


def ranked(entries: Sequence[Entry], sort: str = "accuracy") -> Leaderboard:
    """Return entries sorted by one of ``KEYS``, the best first."""
    key = KEYS[sort]

    def order(entry: Entry) -> tuple[bool, float, float]:
        value = key(entry)
        return value is None, 0.0 if value is None else value, -entry.validation.mean

    return Leaderboard(sorted(entries, key=order))


def found_below(top: Path) -> tuple[list[Entry], list[tuple[Path, str]]]:
    """Return the entries in ``runs``, ``benches`` and ``records`` below ``top``.

    Unfinished or damaged folders are returned apart, each with the reason. Those of other kinds are left out.
    """
    whole: list[Entry] = []
    left_out: list[tuple[Path, str]] = []
    for folder in (*_folders(top / "runs"), *_folders(top / "benches"), *_folders(top / "records", levels=2)):
        try:
            kind = kind_of(folder)
            if kind == "run" and not (run := Run.open(folder)).finished:
                left_out.append((folder, f"unfinished, {len(run.metrics())} of {run.recipe.epochs} epochs"))
            elif kind is not None:
                whole.append(entry_of(folder))
        except UserError as error:
            left_out.append((folder, f"damaged, {error}"))
    return whole, left_out


def _folders(parent: Path, levels: int = 1) -> list[Path]:
    """Return the folders ``levels`` below a folder by name, hidden ones apart; none if it does not exist."""
    inside = sorted(path for path in parent.iterdir() if path.name[0] != ".") if parent.is_dir() else []
    folders = [path for path in inside if path.is_dir()]
    return folders if levels == 1 else [below for path in folders for below in _folders(path, levels - 1)]


def suggested(path: Path) -> str:
    """Return the end of an error message for a folder that is no run: the runs that its name may mean."""
    runs = [each for each in _folders(Path("runs")) if _is_run(each)]
    if close := get_close_matches(path.name, [each.name for each in runs], n=1, cutoff=0.4):
        return f"did you mean {Path('runs', close[0])}?"
    if not runs:
        return "train one with 'under20k train'"
    names = ", ".join(map(str, runs[:SUGGESTED])) + ", …" * (len(runs) > SUGGESTED)
    return f"for example {names}"


def _is_run(folder: Path) -> bool:
    try:
        return kind_of(folder) == "run"
    except UserError:  # damaged
        return False


def paired(ours: Path | str, theirs: Path | str) -> Difference:
    """Return the accuracies in one folder minus those in another, paired by seed.

    They are of two recipes, or of one that two engines, precisions or versions trained. Raises UserError for
    a folder that holds no run, bench or record, and where no seed is in both.
    """
    return bench_in(one_folder(ours)).versus(bench_in(one_folder(theirs)))


def bench_in(path: Path) -> Bench:
    """Return the seeds of the run, bench or record in a folder. Raises UserError where it holds none."""
    *_, bench = _opened(path)
    return bench


def entry_of(path: Path) -> Entry:
    """Return the run, bench or record in a folder. Raises UserError where it holds none."""
    name, kind, test, bench = _opened(path)
    architecture = bench.recipe.architecture
    return Entry(
        name,
        kind,
        str(path),
        architecture.parameters,
        architecture.macs,
        bench.recipe.epochs,
        bench.statistics,
        test,
        bench.times_differ_in,
    )


def kind_of(path: Path) -> str | None:
    """Return ``record``, ``bench`` or ``run``, by the file that a folder holds; None for none of these."""
    files = {"record": "record.json", "bench": FILE, "run": "environment.json"}
    return next((kind for kind, file in files.items() if is_present(path / file)), None)


def _opened(path: Path) -> tuple[str, str, Sample | None, Bench]:
    """Return name, kind, test accuracy and seeds of the run, bench or record in a folder."""
    kind = kind_of(path)
    if kind == "record":
        record = Record.open(path)
        return record.name, "record", record.test, record.bench
    if kind == "bench":
        bench = Bench.open(path)
        readings = [_readings_of_seed(bench, seed, path) for seed in bench.seeds]
        return bench.recipe.name, "bench", test_of(readings), bench
    if kind == "run":
        run = Run.open(path)
        bench = Bench.of([run])
        return f"{run.recipe.name}, seed {run.seed}", "run", test_of([readings_of(run)]), bench
    if path.is_dir():
        raise UserError(f"{path} contains no run, bench or record")
    raise UserError(f"there is no folder {path}; {suggested(path)}")


def readings_of(run: Run) -> list[float]:
    """Return the test accuracies read from a run, the earliest first. Raises UserError for damaged ones."""
    return [reading["correct"] / reading["images"] for reading in run.test_readings()]


def _readings_of_seed(bench: Bench, seed: SeedResult, folder: Path) -> list[float]:
    """Return the test accuracies read from a seed's run; none where that is gone."""
    path = Path(os.path.normpath(folder / seed.run))
    if not seed.run or not path.is_dir():
        return []
    run = Run.open(path)
    if (run.recipe, run.seed) != (bench.recipe, seed.seed):
        raise UserError(f"{path} is no longer the run of seed {seed.seed} in {folder}; bench again")
    return readings_of(run)


def test_of(readings: Sequence[Sequence[float]]) -> Sample | None:
    """Return the first reading of each seed as a sample; None where a seed has none."""
    return Sample.of([of_seed[0] for of_seed in readings]) if all(readings) else None


def pareto(entries: Sequence[Entry]) -> list[Entry]:
    """Return the Pareto front: no other entry has at most as many parameters and a higher accuracy."""
    front: list[Entry] = []
    for entry in sorted(entries, key=lambda each: (each.parameters, -each.validation.mean)):
        if not front or entry.validation.mean > front[-1].validation.mean:
            front.append(entry)
    return front


def as_csv(entries: Sequence[Entry]) -> str:
    """Return CSV (RFC 4180): a header and a line an entry."""
    text = io.StringIO()
    rows = [entry.to_dict() for entry in entries]
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
