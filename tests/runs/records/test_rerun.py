"""Retrain recorded seeds for real: honest records pass, forged ones fail."""

import json
import os
import shutil
import statistics
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scipy import stats

from under20k.cli.main import main
from under20k.data import Mnist
from under20k.engine import isa as instruction_sets
from under20k.files import read_json, read_text, write_json
from under20k.recipe.named import MINIMAL
from under20k.report.records import write_record_page
from under20k.runs.bench.run_bench import bench
from under20k.runs.places import Places
from under20k.runs.records.checksum import with_checksums
from under20k.runs.records.draw import draw
from under20k.runs.records.folders import write_record
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.records.rerun import rerun
from under20k.runs.records.seed_entries import Reading
from under20k.runs.records.verify import check
from under20k.runs.run import Run

pytestmark = pytest.mark.slow

TINY = replace(MINIMAL.with_changes(architecture="1p,4pd0.1|l", batch_size=1000, epochs=1), name="tiny")
SEEDS = range(20)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the record's runs, which ``record`` trains."""
    return tmp_path_factory.mktemp("trained") / "runs"


@pytest.fixture(scope="module")
def record(runs: Path, tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Record:
    """Return a record of real trainings."""
    trained = bench(TINY, SEEDS, places=Places(runs, runs.parent / "benches")).bench
    weights = {seed: weights_sha256(Run.open(runs / f"tiny-{seed}").weights()) for seed in SEEDS}
    now = datetime.now(UTC)
    readings = {seed: (Reading(now.isoformat(), 5_000, 10_000),) for seed in SEEDS}
    made = Record("accurate", "tiny", f"{now.date()}", trained, readings, weights)
    shutil.copy(runs / "tiny-0" / "model.safetensors", model_of(tmp_path_factory))
    return changed(made, git="0" * 40)  # a clean commit, whatever the state of these sources


def model_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the record's model is kept until the record is written."""
    return tmp_path_factory.getbasetemp() / "tiny-0.safetensors"


def changed(record: Record, **environment: str) -> Record:
    """Return the record with changes to its environments."""
    seeds = tuple(
        replace(seed, environment={**seed.environment, **environment}) for seed in record.bench.seeds
    )
    return replace(record, bench=replace(record.bench, seeds=seeds))


def moved(record: Record, accuracies: list[float]) -> Record:
    """Return the record with other accuracies at the last epoch."""
    seeds = tuple(
        replace(seed, epochs=(*seed.epochs[:-1], replace(seed.epochs[-1], validation_accuracy=accuracy)))
        for seed, accuracy in zip(record.bench.seeds, accuracies, strict=True)
    )
    return replace(record, bench=replace(record.bench, seeds=seeds))


@pytest.mark.skipif(instruction_sets.unavailable() is not None, reason="only its bits are the same elsewhere")
def test_runs_that_are_there_are_compared_and_not_retrained(record, runs, tmp_path):
    (tmp_path / "file").touch()
    results = rerun([(record, [3])], reuse=runs, data_dir=tmp_path / "file")  # no data to train with
    assert [again.seed for again in results] == [3, *(seed for seed in SEEDS if seed != 3)]
    assert all(again.same_bits and again.passed for again in results)
    # A run of that name, of another recipe, is none of the record's.
    recipe = replace(TINY.with_changes(momentum=0.5), name="tiny")
    other = replace(record, bench=replace(record.bench, recipe=recipe))
    assert rerun([(other, [])], reuse=runs) == []
    # A drawn seed with other arithmetic is trained; the others are held to the spread.
    elsewhere = changed(record, instruction_set="baseline", processor="Another processor")
    first, *others = rerun([(elsewhere, [3])], reuse=runs, data_dir=tmp_path / "file")
    assert first.text.startswith("could not be trained: ")
    assert len(others) == len(SEEDS) - 1
    assert all(again.passed for again in others)
    forged = replace(record, weights={**record.weights, 5: record.weights[1]})
    failed = [again.seed for again in rerun([(forged, [])], reuse=runs) if not again.passed]
    assert failed == [5]


def test_a_rerun_is_bit_exact(record):
    first, second = rerun([(record, [0, 1])], jobs=2)
    for again, seed in ((first, record.bench.seeds[0]), (second, record.bench.seeds[1])):
        assert (again.seed, again.same_bits, again.passed) == (seed.seed, True, True)
        assert again.recorded == again.measured == seed.validation_accuracy
    assert first.measured != second.measured


def test_forged_weights_and_figures_fail(record):
    other = replace(record, weights={**record.weights, 0: record.weights[1]})
    (again,) = rerun([(other, [0])])
    assert (again.recorded, again.same_bits, again.passed) == (again.measured, False, False)
    better = moved(record, [seed.validation_accuracy + 1e-4 for seed in record.bench.seeds])
    (again,) = rerun([(better, [0])])
    assert (again.same_bits, again.passed) == (False, False)


def test_on_another_processor_the_accuracy_must_be_within_the_spread(record):
    elsewhere = changed(record, processor="Another processor")
    (again,) = rerun([(elsewhere, [0])])
    assert (again.same_bits, again.passed) == (True, True)  # reported, though not required
    elsewhere = replace(elsewhere, weights={seed: f"{seed:064x}" for seed in SEEDS})
    (again,) = rerun([(elsewhere, [0])])
    assert (again.same_bits, again.passed) == (None, True)
    assert "bit-exact match not required: processor differs" in again.text
    # Just inside and just outside the interval, computed here by hand.
    measured = again.measured
    spread = [0.001 if seed % 2 else -0.001 for seed in SEEDS]
    reach = stats.t.ppf(0.9995, 19) * statistics.stdev(spread) * (1 + 1 / 20) ** 0.5
    for fraction, inside in ((0.98, True), (1.02, False)):
        around = [measured + fraction * reach + offset for offset in spread]
        (again,) = rerun([(moved(elsewhere, around), [0])])
        assert (again.same_bits, again.passed) == (None, inside)


@pytest.mark.skipif(instruction_sets.unavailable() is not None, reason="only its bits are the same elsewhere")
def test_invented_seeds_around_an_honest_one_fail(record):
    """They claim another machine, but seed 0 is bit-exact here, so the others must be too."""
    invented = {seed: record.weights[0] if seed == 0 else f"{seed:064x}" for seed in SEEDS}
    elsewhere = replace(changed(record, processor="Another processor"), weights=invented)
    (again,) = rerun([(elsewhere, [7])])
    assert (again.seed, again.same_bits, again.passed) == (7, False, False)
    assert "not bit-exact, though seed 0 is" in again.text
    # Drawn together, they need no further training.
    first, second = rerun([(elsewhere, [0, 7])])
    assert (first.passed, second.passed) == (True, False)


@pytest.mark.skipif(instruction_sets.unavailable() is not None, reason="it alone has instruction sets")
def test_the_records_instruction_set_is_used(record, monkeypatch):
    """Whatever this processor would use itself."""
    monkeypatch.setenv("UNDER20K_ISA", "baseline")
    trained = bench_like(record, [0])
    monkeypatch.delenv("UNDER20K_ISA")
    (again,) = rerun([(trained, [0])])
    assert (again.same_bits, again.passed) == (True, True)
    assert "UNDER20K_ISA" not in os.environ


def bench_like(record: Record, seeds: list[int]) -> Record:
    """Return the record with its seeds trained with the instruction set in use."""
    with tempfile.TemporaryDirectory() as folder:
        made = bench(TINY, seeds, places=Places(f"{folder}/runs", f"{folder}/benches")).bench
        weights = {
            seed: weights_sha256(Run.open(Path(folder) / "runs" / f"tiny-{seed}").weights()) for seed in seeds
        }
    assert weights != {seed: record.weights[seed] for seed in seeds}
    return replace(record, bench=made, weights=weights)


def test_a_training_that_fails_does_not_pass(record, tmp_path):
    (tmp_path / "file").touch()
    (again,) = rerun([(record, [0])], data_dir=tmp_path / "file")
    assert (again.measured, again.passed) == (None, False)
    assert "could not be trained: " in again.text


def test_the_command_reruns_drawn_seeds(record, tmp_path, capsys, tmp_path_factory):
    path = write_record(record, tmp_path / "records", model_of(tmp_path_factory).read_bytes())
    write_record_page(record, path)
    assert check(path) == []
    verify = ["records", "verify", str(path), "--rerun", "1"]
    assert main([*verify, "--rerun-from", "a b"]) == 0
    out, err = capsys.readouterr()
    (drawn,) = draw(record, 1, "a b")
    assert "valid; its model of seed 0 " in out
    assert f"tiny, seed {drawn}: " in out
    assert "bit-exact" in out
    assert out.startswith("✓ 1 of 1 records valid\n")
    assert out.endswith("drawn from 'a b'; --rerun 1 --rerun-from 'a b' draws the same\n")
    assert f"{record.folder}: seed {drawn}\n" in err
    # Invented weights, with a checksum that matches.
    values = read_json(path / "record.json")
    for seed in values["seeds"][1:]:
        seed["weights_sha256"] = f"{seed['seed']:064x}"
    write_json(path / "record.json", with_checksums(values, read_text(path / "curves.jsonl")))
    assert check(path) == []
    text = next(text for text in "abcdefgh" if draw(record, 1, text) != [0])
    assert main([*verify, "--rerun-from", text, "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["passed"], shown["drawn_from"]) == (False, text)
    assert (shown["records"][0]["wrong"], shown["records"][0]["passed"]) == ([], False)
    assert [again["same_bits"] for again in shown["reruns"]] == [False]
    assert main([*verify, "--rerun-from", text]) == 1
    assert capsys.readouterr().out.startswith("✗ 0 of 1 records valid\n")
