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
def test_a_timing_is_compared_by_its_ratio(monkeypatch, seconds, passed):
    """45 times faster is recorded; half of that has to be there again, whatever the machine's own seconds."""
    asked = []

    def in_turns(*arguments, **options) -> Timing:
        asked.append((options["turns"], options["options"]))
        return Timing(TIMING.reference, (10 * seconds,), (900.0,), 2, processor())

    monkeypatch.setattr(under20k.runs.records.retiming, "in_turns", in_turns)
    again = time_again(RECORD)
    assert asked == [(1, ())]
    assert (again.recorded, again.measured) == (pytest.approx(45), pytest.approx(90 / seconds))
    assert again.passed is passed
    assert again.text.endswith("times faster than the reference, recorded 45.0; at least 22.5 is required")


def test_a_timing_that_fails(monkeypatch):
    def in_turns(*arguments, **options) -> Timing:
        raise UserError("time is measured on 2 cores, and this process may use 1")

    monkeypatch.setattr(under20k.runs.records.retiming, "in_turns", in_turns)
    again = time_again(RECORD)
    assert (again.measured, again.passed) == (None, False)
    assert again.text == "could not be timed: time is measured on 2 cores, and this process may use 1"
