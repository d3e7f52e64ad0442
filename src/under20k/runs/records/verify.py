"""Check a record: recompute its statistics, check the rules, evaluate its model.

Each finding is a sentence. ``rerun`` trains some of a record's seeds again.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from under20k.data import load
from under20k.data.events import OnFetch, ignore
from under20k.engine.base import Compute
from under20k.engine.evaluation import evaluate
from under20k.engine.select import create
from under20k.errors import UserError
from under20k.runs.records.arithmetic import as_recorded
from under20k.runs.records.checksum import checksum_mismatch, without_checksums
from under20k.runs.records.consistency import inconsistencies
from under20k.runs.records.initial import initial_faults
from under20k.runs.records.kept_model import kept_model
from under20k.runs.records.record import Record
from under20k.runs.records.record_files import RecordFiles

ROUNDING = 1e-10  # relative, of recomputed statistics: SciPy's last digits vary between its releases
IMAGES_TOLERANCE = 2  # images that another processor's rounding may classify otherwise
LOSS_TOLERANCE = 1e-4  # relative, of a loss on another processor
MISSING = object()


def check(path: Path) -> list[str]:
    """Return the faults of the record in a folder, a sentence each; empty if it is valid."""
    try:
        files = RecordFiles.read(path)
        record = Record.from_files(files)
    except UserError as error:
        return [str(error)]
    wrong = []
    if not path.resolve().as_posix().endswith(f"/{record.folder}"):
        wrong.append(f"it lies in {path}, but belongs in {record.folder}")
    expected = record.expected(files)
    wrong += differences(without_checksums(files.values), without_checksums(expected))
    wrong += checksum_mismatch(files.values, expected)
    wrong += inconsistencies(record)
    broken = record.rules_broken()
    wrong += broken
    if not broken:  # the rules bound the size of what is drawn
        seeds = [seed.seed for seed in record.bench.seeds]
        wrong += initial_faults(record.bench.recipe, seeds, record.initial)
    try:
        kept_model(path, record)
    except UserError as error:
        wrong.append(str(error))
    return wrong


def evaluated(path: Path, data_dir: Path | None = None, on_event: OnFetch = ignore) -> tuple[list[str], str]:
    """Evaluate the kept model of a record for which ``check`` finds nothing.

    On validation it has to match its seed's last epoch: exactly with the record's engine and instruction
    set, elsewhere within ``IMAGES_TOLERANCE`` images.

    Args:
        path: the record's folder.
        data_dir: holds MNIST; by default the cache folder.
        on_event: called with the events of a download.

    Returns:
        The faults, and if there are none, the result in a sentence.

    Raises:
        UserError: MNIST is not available.
    """
    record = Record.open(path)
    weights = kept_model(path, record)
    images = load(data_dir, on_event=on_event).validation
    seed = record.bench.seeds[0]
    with as_recorded(seed.environment) as arithmetic:
        compute = Compute(arithmetic.engine, "cpu", threads=1)
        engine = create(record.bench.recipe, seed.seed, compute, weights=weights)
        found = evaluate("validation", engine.logits(images.images), images.labels)
    expected, loss = round(seed.validation_accuracy * found.images), seed.epochs[-1].validation_loss
    tolerance = 0 if arithmetic.exact else IMAGES_TOLERANCE
    model = f"its model of seed {seed.seed}"
    result = f"{model} classifies {found.correct:,} of {found.images:,} validation images correctly"
    if abs(found.correct - expected) > tolerance:
        return [f"{result}; its last epoch records {expected:,}"], ""
    if not math.isclose(found.loss, loss, rel_tol=LOSS_TOLERANCE):
        return [f"{model} has a validation loss of {found.loss:.6f}; its last epoch records {loss:.6f}"], ""
    if found.correct == expected:
        return [], f"{result}, as its last epoch records"
    return [], f"{result}, within {IMAGES_TOLERANCE} of the {expected:,} recorded"


def differences(recorded: Any, expected: Any, where: str = "") -> list[str]:
    """Return where two plain values differ: numbers by more than rounding, anything else at all.

    Args:
        recorded: the content of a record's file.
        expected: its expected content.
        where: both, in the file: ``seeds[3].time_s``.

    Returns:
        A sentence a difference.
    """
    if isinstance(recorded, dict) and isinstance(expected, dict):
        found = []
        for name in {**recorded, **expected}:
            pair = recorded.get(name, MISSING), expected.get(name, MISSING)
            found += differences(*pair, f"{where}.{name}".lstrip("."))
        return found
    if isinstance(recorded, list) and isinstance(expected, list) and len(recorded) == len(expected):
        pairs = enumerate(zip(recorded, expected, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{where}[{index}]")]
    if _equal(recorded, expected):
        return []
    if recorded is MISSING or expected is MISSING:
        return [f"{where} {'is missing' if recorded is MISSING else 'is not a field of a record'}"]
    if all(type(value) in (int, float, str, bool) for value in (recorded, expected)):
        return [f"{where} is {recorded!r}; recomputed from the seeds' numbers it is {expected!r}"]
    return [f"{where} does not follow from the rest of the record"]


def _equal(one: Any, other: Any) -> bool:
    if all(type(value) in (int, float) for value in (one, other)):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-300)
    return type(one) is type(other) and bool(one == other)
