"""``bench.json``: short, and nothing lost."""

import json

import pytest

from tests.support.benches import around, bench_of, taught
from under20k.errors import UserError
from under20k.files import read_json, read_text, write_json
from under20k.runs.bench.bench import FILE, Bench
from under20k.runs.bench.bench_file import bench_text, unpacked


@pytest.mark.parametrize("seeds", [1, 2, 30])
def test_nothing_is_lost(seeds):
    values = taught(bench_of(around(0.9945, seeds))).to_dict()
    assert unpacked(json.loads(bench_text(values))) == values


def test_seeds_that_ran_on_different_machines(tmp_path):
    made = bench_of(around(0.9945, 3))
    other = bench_of(around(0.9945, 2), first=3, processor="Another", cores=64)
    both = Bench(made.recipe, (*made.seeds, *other.seeds), (), made.command, made.date)
    both.write(tmp_path)
    assert Bench.open(tmp_path) == both
    common = read_json(tmp_path / FILE)["environment"]
    assert {"processor", "cores"}.isdisjoint(common)
    assert common["engine"] == "torch"


def test_a_line_a_seed_and_the_environment_once(tmp_path):
    made = bench_of(around(0.9945, 20))
    made.write(tmp_path)
    text = read_text(tmp_path / FILE)
    assert sum(line.startswith('{"seed": ') for line in text.splitlines()) == 20
    assert text.count("A processor") == 1
    assert len(text) < len(json.dumps(made.to_dict())) / 2


def test_format_1_is_still_read(tmp_path):
    made = bench_of(around(0.9945, 3))
    values = made.to_dict()
    for seed in values["seeds"]:
        del seed["test_readings"]  # which earlier versions did not write
    write_json(tmp_path / FILE, {name: value for name, value in values.items() if name != "sha256"})
    assert Bench.open(tmp_path) == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 3}, "format 3; this version of under20k reads 1 and 2"),
        ({"environment": None}, "damaged: "),
        ({"epochs": {"epoch": 7}}, "damaged: "),
        ({"date": "2026-01-03"}, "SHA-256 does not match"),
    ],
)
def test_a_changed_file_is_refused(tmp_path, change, words):
    bench_of(around(0.9945, 3)).write(tmp_path)
    write_json(tmp_path / FILE, read_json(tmp_path / FILE) | change)
    with pytest.raises(UserError, match=words):
        Bench.open(tmp_path)


@pytest.mark.parametrize("readings", [-1, 1.5, "one", True])
def test_a_number_of_test_readings_is_one(tmp_path, readings):
    bench_of(around(0.9945, 3)).write(tmp_path)
    values = read_json(tmp_path / FILE)
    values["seeds"][1]["test_readings"] = readings
    write_json(tmp_path / FILE, values)
    with pytest.raises(UserError, match="test_readings is"):
        Bench.open(tmp_path)
