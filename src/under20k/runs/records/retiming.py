"""Time a record of the track ``fast`` again, on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from under20k.errors import UserError
from under20k.runs.events import Note, OnEvent, ignore
from under20k.runs.provenance import identity
from under20k.runs.records.arithmetic import precision_options
from under20k.runs.records.initial import start_of
from under20k.runs.records.record import Record
from under20k.runs.records.rules import REFERENCE, REFERENCE_ENGINE
from under20k.runs.records.timing import in_turns, reference_text

RATIO_FRACTION = 0.5
"""Fraction of the recorded ratio to reach again: one turn is noisy, and processors differ."""


@dataclass(frozen=True)
class Retiming:
    """A record's training, timed against the reference again."""

    record: str
    recorded: float
    """How many times longer the reference took."""
    measured: float | None
    """The same today; None if a training failed."""
    passed: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def time_again(record: Record, *, data_dir: Path | None = None, on_event: OnEvent = ignore) -> Retiming:
    """Time a record of the track ``fast`` in one turn with the reference.

    Only the ratio is compared, since seconds belong to a machine: it has to be at least ``RATIO_FRACTION``
    of the recorded one.

    Args:
        record: has a timing.
        data_dir: holds MNIST; by default the cache folder.
        on_event: called with notes of the progress.

    Returns:
        Both ratios and whether the record passed; a training that fails does not pass.
    """
    assert record.timing is not None
    recorded, own = record.timing.ratio, record.bench.seeds[0].environment
    on_event(Note(f"{record.folder}: timing against {reference_text(REFERENCE, REFERENCE_ENGINE)}"))
    try:
        measured = in_turns(
            record.bench.recipe,
            str(identity(own)["engine"]),
            REFERENCE,
            reference_engine=REFERENCE_ENGINE,
            turns=1,
            options=precision_options(own),
            start=lambda seed: start_of(record.bench.recipe, seed, record.initial),
            data_dir=data_dir,
            on_event=on_event,
        ).ratio
    except UserError as error:
        return Retiming(record.folder, recorded, None, False, f"could not be timed: {error}")
    required = RATIO_FRACTION * recorded
    text = (
        f"{measured:.1f} times faster than the reference, recorded {recorded:.1f}; at least {required:.1f} "
        "is required"
    )
    return Retiming(record.folder, recorded, measured, measured >= required, text)
