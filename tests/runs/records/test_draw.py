"""Which seeds are trained again, and how: draws that repeat, the record's own arithmetic, ratios of times."""

import math
import os
import subprocess
from argparse import Namespace
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import under20k.runs.records.rerun
from tests.support.benches import around, bench_of
from under20k.cli.records import draw_source, repeat
from under20k.engine import isa as instruction_sets
from under20k.errors import UserError
from under20k.runs.provenance import processor
from under20k.runs.records.record import Record
from under20k.runs.records.rerun import as_recorded, draw, draw_records, same_figures, time_again
from under20k.runs.records.timing import Timing

RECORD = Record("fast", "tiny", "2026-01-04", bench_of(around(0.9945)), {}, {})
TIMING = Timing("minimal, torch engine, fp32", (2.0, 2.2, 2.1), (90.0, 99.0, 84.0), 2, "A processor")


def test_a_draw_repeats_and_another_text_draws_others():
    assert draw(RECORD, 3, "a") == draw(RECORD, 3, "a")
    assert len({tuple(draw(RECORD, 3, str(text))) for text in range(50)}) > 40
    assert draw(RECORD, 3, "a") != draw(replace(RECORD, name="other"), 3, "a")
    assert draw(RECORD, 100, "a") == list(range(20))
    assert draw(RECORD, 3, "a") == sorted(set(draw(RECORD, 3, "a")))
    assert draw(RECORD, 1, "a")[0] in draw(RECORD, 2, "a")


def test_every_seed_and_every_record_is_drawn_as_often():
    seeds = Counter(draw(RECORD, 1, str(text))[0] for text in range(4_000))
    assert len(seeds) == 20
    # 200 each on average, ±14: five standard deviations.
    assert all(130 <= count <= 270 for count in seeds.values())
    records = [replace(RECORD, name=name) for name in "abcdef"]
    names = Counter(draw_records(records, 1, str(text))[0].name for text in range(1_200))
    assert len(names) == 6
    assert all(130 <= count <= 270 for count in names.values())
    assert draw_records(records, 6, "a") == records


def options(**values: object) -> Namespace:
    return Namespace(
        **{"rerun": 1, "rerun_records": None, "rerun_from": None, "records_dir": Path(), **values}
    )


def test_what_a_draw_is_from(monkeypatch, tmp_path):
    monkeypatch.delenv("CI", raising=False)
    assert draw_source(options(rerun_from="x")) == "x"
    assert draw_source(options()) != draw_source(options())
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "A"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("CI", "true")
    assert draw_source(options(records_dir=tmp_path)) == commit.strip()
    assert draw_source(options(records_dir=tmp_path, rerun_from="x")) == "x"
    outside = draw_source(options(records_dir=tmp_path / "nowhere"))
    assert outside != draw_source(options(records_dir=tmp_path / "nowhere"))
    monkeypatch.setenv("CI", "false")
    assert draw_source(options(records_dir=tmp_path)) != commit.strip()


def test_how_a_draw_is_repeated():
    assert repeat(options(), "ab") == "--rerun 1 --rerun-from ab"
    assert (
        repeat(options(rerun=3, rerun_records=2), "a b") == "--rerun 3 --rerun-records 2 --rerun-from 'a b'"
    )


NATIVE = {"engine": "native", "precision": "fp32", "instruction_set": "baseline", "native_build": "0" * 16}


@pytest.mark.skipif(instruction_sets.unavailable() is not None, reason="it alone has instruction sets")
def test_the_arithmetic_of_the_record(monkeypatch):
    monkeypatch.delenv("UNDER20K_ISA", raising=False)
    monkeypatch.delenv("UNDER20K_EMULATE_BF16", raising=False)
    usual = instruction_sets.instruction_set()
    with as_recorded(NATIVE) as by:
        assert (by.engine, by.precision, by.exact) == ("native", "fp32", True)
        assert instruction_sets.instruction_set() == "baseline"
    assert "UNDER20K_ISA" not in os.environ
    with as_recorded(NATIVE | {"precision": "bf16"}) as by:  # emulated, as it was
        assert (by.precision, by.exact) == ("bf16", True)
        assert instruction_sets.arithmetic("bf16") == "bf16 emulated with baseline"
    assert "UNDER20K_EMULATE_BF16" not in os.environ
    with as_recorded(NATIVE | {"instruction_set": "none such"}) as by:
        assert (by.engine, by.exact) == ("native", False)
        assert instruction_sets.instruction_set() == usual
    with as_recorded({"engine": "torch"}) as by:
        assert (by.engine, by.exact) == ("torch", False)
    monkeypatch.setenv("UNDER20K_ISA", usual)  # the user's word goes before the record's
    with as_recorded(NATIVE) as by:
        assert instruction_sets.instruction_set() == usual
        assert by.exact == (usual == "baseline")


@pytest.mark.parametrize(("seconds", "passed"), [(2.0, True), (3.9, True), (4.1, False), (40.0, False)])
def test_a_timing_is_compared_by_its_ratio(monkeypatch, seconds, passed):
    """45 times faster is recorded; half of that has to be there again, whatever the machine's own seconds."""
    asked = []

    def in_turns(*arguments, **options) -> Timing:
        asked.append((options["turns"], options["options"]))
        return Timing(TIMING.reference, (10 * seconds,), (900.0,), 2, processor())

    monkeypatch.setattr(under20k.runs.records.rerun, "in_turns", in_turns)
    again = time_again(replace(RECORD, timing=TIMING))
    assert asked == [(1, ())]
    assert (again.recorded, again.measured) == (pytest.approx(45), pytest.approx(90 / seconds))
    assert again.passed is passed
    assert again.text.endswith("times faster than the reference, recorded 45.0; at least 22.5 is required")


def test_a_timing_that_fails(monkeypatch):
    def in_turns(*arguments, **options) -> Timing:
        raise UserError("time is measured on 2 cores, and this process may use 1")

    monkeypatch.setattr(under20k.runs.records.rerun, "in_turns", in_turns)
    again = time_again(replace(RECORD, timing=TIMING))
    assert (again.measured, again.passed) == (None, False)
    assert again.text == "could not be timed: time is measured on 2 cores, and this process may use 1"


def test_what_counts_as_the_same_figures():
    """The last digit of a loss is NumPy's, another one with AVX-512 than with AVX2; the rest is exact."""
    epoch = RECORD.bench.seeds[0].epochs[0]
    for name in ("train_loss", "validation_loss"):
        value = getattr(epoch, name)
        assert same_figures(epoch, replace(epoch, **{name: math.nextafter(value, 1)}))
        assert not same_figures(epoch, replace(epoch, **{name: value * (1 + 1e-9)}))
    assert same_figures(epoch, replace(epoch, train_time_s=9.0, total_time_s=9.5, images_per_s=1.0))
    for name in ("learning_rate", "train_accuracy", "validation_accuracy"):
        assert not same_figures(epoch, replace(epoch, **{name: math.nextafter(getattr(epoch, name), 1)}))
