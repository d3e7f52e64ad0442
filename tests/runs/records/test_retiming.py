"""A timing is repeated and its ratio compared."""

import pytest

import under20k.runs.records.retiming
from tests.support.benches import around, bench_of
from under20k.errors import UserError
from under20k.runs.provenance import processor
from under20k.runs.records.record import Record
from under20k.runs.records.retiming import time_again
from under20k.runs.records.timing import Timing

TIMING = Timing("minimal, torch engine, fp32", (2.0, 2.2, 2.1), (90.0, 99.0, 84.0), 2, "A processor")
RECORD = Record("fast", "tiny", "2026-01-04", bench_of(around(0.9945)), {}, {}, TIMING)


@pytest.mark.parametrize(("seconds", "passed"), [(2.0, True), (3.9, True), (4.1, False), (40.0, False)])
def test_half_of_the_recorded_ratio_passes(monkeypatch, seconds, passed):
    """45 times faster is recorded; half of that is required, whatever the seconds."""
    calls = []

    def in_turns(*arguments, **options) -> Timing:
        calls.append((options["turns"], options["options"]))
        return Timing(TIMING.reference, (10 * seconds,), (900.0,), 2, processor())

    monkeypatch.setattr(under20k.runs.records.retiming, "in_turns", in_turns)
    again = time_again(RECORD)
    assert calls == [(1, ())]
    assert (again.recorded, again.measured) == (pytest.approx(45), pytest.approx(90 / seconds))
    assert again.passed is passed
    assert "recorded 45.0" in again.text
    assert "22.5 is required" in again.text


def test_a_timing_that_fails_does_not_pass(monkeypatch):
    def in_turns(*arguments, **options) -> Timing:
        raise UserError("timing needs 2 cores, and this process may use 1")

    monkeypatch.setattr(under20k.runs.records.retiming, "in_turns", in_turns)
    again = time_again(RECORD)
    assert (again.measured, again.passed) == (None, False)
    assert again.text == "could not be timed: timing needs 2 cores, and this process may use 1"
