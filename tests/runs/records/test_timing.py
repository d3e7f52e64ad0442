"""Time real trainings in turns, each a process of its own."""

import os
from dataclasses import replace

import pytest

from under20k.data import Mnist
from under20k.engine import isa
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.runs.events import Note
from under20k.runs.records.timing import in_turns

pytestmark = pytest.mark.slow

TINY = replace(MINIMAL.with_changes(architecture="1p,4pd0.1|l", batch_size=1000, epochs=1), name="tiny")


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="timing needs two cores")
def test_a_timing_alternates_subject_and_reference(tmp_path, monkeypatch, mnist: Mnist):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    notes: list[str] = []

    def on_event(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    engine = "torch" if isa.unavailable() else "native"  # torch would take minutes here
    reference = replace(TINY, name="reference")
    timing = in_turns(TINY, engine, reference, reference_engine=engine, turns=2, on_event=on_event)
    assert [text.split(":")[0] for text in notes] == ["turn 1 of 2"] * 2 + ["turn 2 of 2"] * 2
    assert (timing.reference, timing.cores) == (f"reference, {engine} engine, fp32", 2)
    assert len(timing.subject_s) == len(timing.reference_s) == 2
    assert min(*timing.subject_s, *timing.reference_s) > 0
    with pytest.raises(UserError, match=r"training to be timed failed: .*momentum"):
        in_turns(TINY, engine, TINY, turns=1, options=("--momentum", "2"))
    assert list(tmp_path.iterdir()) == []
    if allowed is not None:
        assert os.sched_getaffinity(0) == allowed
