"""Is a record what it says? Statistics computed again, rules checked, its model evaluated.

Each finding is a sentence. ``rerun`` trains some of a record's seeds again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from under20k.data import load
from under20k.data.events import OnFetch, ignore
from under20k.engine.base import Compute
from under20k.engine.evaluation import evaluate
from under20k.engine.select import create
from under20k.errors import UserError
from under20k.runs.records.consistency import implausible
from under20k.runs.records.record import PARTS, Record, kept_model, rules_broken
from under20k.runs.records.rerun import as_recorded

TOLERANCE = 1e-10  # relative, of recomputed statistics: SciPy's last digits vary between its releases
SLACK = 2  # images that another processor's rounding may decide otherwise
LOSS_SLACK = 1e-4  # of a loss, likewise
MISSING = object()


def check(path: Path) -> list[str]:
    """What is wrong with the record in a folder, in words; nothing where it holds."""
    try:
        record = Record.open(path)
    except UserError as error:
        return [str(error)]
    wrong = (
        []
        if path.resolve().as_posix().endswith(f"/{record.folder}")
        else [f"it lies in {path}, but belongs in {record.folder}"]
    )
    assert record.recorded is not None
    wrong += differences(unsealed(record.recorded), unsealed(record.to_dict()))
    wrong += broken_seal(record)
    wrong += implausible(record)
    wrong += rules_broken(record)
    try:
        kept_model(path, record)
    except UserError as error:
        wrong.append(str(error))
    return wrong


def unsealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """``record.json`` without its digests of itself."""
    return {name: value for name, value in values.items() if name not in ("sha256", PARTS)}


def broken_seal(record: Record) -> list[str]:
    """Whether the seal does not fit, and where the record may have been changed since."""
    assert record.recorded is not None
    sealed, now = record.recorded, record.to_dict()
    if sealed["sha256"] == now["sha256"] and sealed.get(PARTS) == now.get(PARTS):
        return []
    if not isinstance(sealed.get(PARTS), dict):
        return [
            "the seal, sha256, does not fit: since it was made, the recipe, an environment, a seed's start, "
            "threads, test reading or weights digest, the timing, or a figure of curves.jsonl was changed"
        ]
    changed = [name for name, digest in now[PARTS].items() if sealed[PARTS].get(name) != digest]
    where = {"heading": "track, name, date, command"}
    parts = ", ".join(where.get(name, name) for name in changed)
    return [f"the seal, sha256, does not fit: changed since it was made: {parts or 'the seal itself'}"]


def evaluated(path: Path, data_dir: Path | None = None, on_event: OnFetch = ignore) -> tuple[list[str], str]:
    """What is wrong with the kept model of a record that otherwise holds, and what it gives, in words.

    It has to have, on validation, what its seed's last epoch has: exactly with the record's engine and
    instruction set, elsewhere to within ``SLACK`` images. Raises UserError where MNIST is not to be had.
    """
    record = Record.open(path)
    weights = kept_model(path, record)
    images = load(data_dir, on_event=on_event).validation
    seed = record.bench.seeds[0]
    with as_recorded(seed.environment) as by:
        engine = create(record.bench.recipe, seed.seed, Compute(by.engine, "cpu", threads=1), weights=weights)
        found = evaluate("validation", engine.logits(images.images), images.labels)
    expected, loss = round(seed.validation_accuracy * found.images), seed.epochs[-1].validation_loss
    close = 0 if by.exact else SLACK
    gives = f"its model of seed {seed.seed} gives {found.correct:,} of {found.images:,} validation images"
    if abs(found.correct - expected) > close:
        return [f"{gives}; its last epoch says {expected:,}"], ""
    if not math.isclose(found.loss, loss, rel_tol=LOSS_SLACK):
        text = f"its model of seed {seed.seed} has a validation loss of {found.loss:.6f}"
        return [f"{text}; its last epoch says {loss:.6f}"], ""
    as_said = (
        "as its last epoch says"
        if found.correct == expected
        else f"within {SLACK} of the {expected:,} recorded"
    )
    return [], f"{gives}, {as_said}"


def differences(recorded: Any, computed: Any, where: str = "") -> list[str]:
    """Where two plain values differ: numbers by more than rounding, anything else at all."""
    if isinstance(recorded, dict) and isinstance(computed, dict):
        names = {**recorded, **computed}
        return [
            line
            for name in names
            for line in differences(
                recorded.get(name, MISSING), computed.get(name, MISSING), f"{where}.{name}".lstrip(".")
            )
        ]
    if isinstance(recorded, list) and isinstance(computed, list) and len(recorded) == len(computed):
        return [
            line
            for index, (one, other) in enumerate(zip(recorded, computed, strict=True))
            for line in differences(one, other, f"{where}[{index}]")
        ]
    numbers = all(type(value) in (int, float) for value in (recorded, computed))
    same = (
        math.isclose(recorded, computed, rel_tol=TOLERANCE, abs_tol=1e-300)
        if numbers
        else type(recorded) is type(computed) and recorded == computed
    )
    if same:
        return []
    if recorded is MISSING or computed is MISSING:
        return [f"{where} {'is missing' if recorded is MISSING else 'is no field of a record'}"]
    if all(type(value) in (int, float, str, bool) for value in (recorded, computed)):
        return [f"{where} is {recorded!r}, and from the seeds' numbers it is {computed!r}"]
    return [f"{where} does not follow from the rest of the record"]
