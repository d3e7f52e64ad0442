"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

from under20k.engine.machine import cores
from under20k.runs.records.timing import CORES


@dataclass(frozen=True)
class Amount:
    """The sizes of the measurements in all parts."""

    rounds: int = 3
    """Turns of each contender."""
    images: int = 50_000
    """Training images of one measured epoch; its time is scaled to 50,000."""
    evaluated: int = 10_000
    """Validation images of one measured evaluation."""
    batch: int = 1_000
    """Images that go through a network together in evaluation."""
    single: int = 300
    """Single images of one measurement of latency."""
    compile: bool = True
    """Whether torch.compile takes part, which compiles for some ten seconds."""
    peak_s: float = 0.3
    """Seconds of one measurement of the processor's peak."""
    kernel_s: float = 0.03
    """Seconds of one measurement of a kernel."""
    train: tuple[str, ...] = ("minimal", "--epochs", "1")
    """Options of ``under20k train`` where a whole process is measured."""


def cores_used() -> int:
    """Two cores, or one if the machine has no more."""
    return min(CORES, cores().amount)


FULL = Amount()
QUICK = Amount(rounds=1, images=640, evaluated=2_000, single=20, peak_s=0.03, kernel_s=0.003)
"""Enough to see that everything works; its times say little."""
