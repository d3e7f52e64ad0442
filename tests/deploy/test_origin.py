"""What is known of a model comes from the data of its run, record or card."""

from pathlib import Path

import pytest

from tests.support import ROOT
from under20k.deploy import card as cards
from under20k.deploy.model import load
from under20k.deploy.origin import Origin
from under20k.runs.records.record import Record
from under20k.runs.run import Run

RECORD = ROOT / "records" / "reference" / "2026-11-26-minimal"


@pytest.mark.parametrize("name", cards.names())
def test_a_pretrained_model(name):
    card, origin = cards.card(name), load(name).origin
    assert (origin.kind, origin.seed, origin.license) == ("pretrained", card.seed, "MIT")
    assert (origin.validation_accuracy, origin.test_accuracy) == (
        card.validation_accuracy,
        card.test_accuracy,
    )
    assert origin.validation == card.validation
    assert Origin.from_dict(origin.to_dict()) == origin


def test_a_run(small):
    run = Run.open(small)
    origin = load(small).origin
    assert (origin.kind, origin.seed, origin.license) == ("run", run.seed, None)
    assert origin.validation_accuracy == run.metrics()[-1].validation_accuracy
    assert origin.test_accuracy is None
    for correct in (9876, 9000):
        run.add_test_reading({"correct": correct, "images": 10_000, "read": "2026-11-28T12:00:00+00:00"})
    assert load(small).origin.test_accuracy == 0.9876  # of the first


def test_a_run_with_damaged_figures_is_a_model_of_unknown_accuracy(small):
    Path(small, "metrics.jsonl").write_text("?")
    assert load(small).origin.validation_accuracy is None


def test_a_record():
    record, origin = Record.open(RECORD), load(RECORD).origin
    assert (origin.kind, origin.seed, origin.license) == ("record", record.bench.seeds[0].seed, None)
    assert origin.validation.n == len(record.bench.seeds)
    assert origin.validation_accuracy == record.bench.seeds[0].validation_accuracy
    assert origin.test_accuracy == record.readings[origin.seed][0].accuracy
