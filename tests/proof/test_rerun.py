"""What trains for real to prove something: recorded seeds again, a timing in turns, two recipes in pairs."""

import json
import os
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from under20k.benchmark import bench
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.engine import native_engine
from under20k.errors import UserError
from under20k.files import read_json, read_text, write_json, write_text
from under20k.recipes import MINIMAL
from under20k.records import Reading, Record, seal, weights_digest
from under20k.run import Run
from under20k.seeds import Bench
from under20k.submission import write
from under20k.timing import in_turns
from under20k.verification import check, rerun

pytestmark = pytest.mark.slow

TINY = replace(MINIMAL.with_changes(architecture="1p,4pd0.1|l", batch_size=1000, epochs=1), name="tiny")
SEEDS = range(20)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory, mnist: Mnist) -> Record:
    """A record of trainings that took place."""
    folder = tmp_path_factory.mktemp("trained")
    trained = bench(TINY, SEEDS, runs_dir=folder / "runs", benches_dir=folder / "benches").bench
    weights = {seed: weights_digest(Run.open(folder / "runs" / f"tiny-{seed}").weights()) for seed in SEEDS}
    readings = {seed: (Reading("2026-01-03T00:00:00+00:00", 5_000, 10_000),) for seed in SEEDS}
    made = Record("accurate", "tiny", "2026-01-04", trained, readings, weights)
    return changed(made, git="0" * 40)  # whatever state these sources are in


def changed(record: Record, **environment: str) -> Record:
    """The record, from another environment."""
    seeds = tuple(
        replace(seed, environment={**seed.environment, **environment}) for seed in record.bench.seeds
    )
    return replace(record, bench=replace(record.bench, seeds=seeds))


def moved(record: Record, accuracies: list[float]) -> Record:
    """The record, with other accuracies at the last epoch."""
    seeds = tuple(
        replace(seed, epochs=(*seed.epochs[:-1], replace(seed.epochs[-1], validation_accuracy=accuracy)))
        for seed, accuracy in zip(record.bench.seeds, accuracies, strict=True)
    )
    return replace(record, bench=replace(record.bench, seeds=seeds))


def test_the_same_bits_again(record):
    first, second = rerun([record], 2, jobs=2)
    for again, seed in ((first, record.bench.seeds[0]), (second, record.bench.seeds[1])):
        assert (again.seed, again.same_bits, again.passed) == (seed.seed, True, True)
        assert again.recorded == again.measured == seed.validation_accuracy
    assert first.measured != second.measured


def test_weights_and_figures_that_were_not_trained_so(record):
    other = replace(record, weights={**record.weights, 0: record.weights[1]})
    (again,) = rerun([other], 1)
    assert (again.recorded, again.same_bits, again.passed) == (again.measured, False, False)
    (again,) = rerun([moved(record, [seed.validation_accuracy + 1e-4 for seed in record.bench.seeds])], 1)
    assert (again.same_bits, again.passed) == (False, False)


def test_elsewhere_it_has_to_fall_into_the_spread(record):
    elsewhere = changed(record, processor="Another processor")
    (again,) = rerun([elsewhere], 1)
    assert (again.same_bits, again.passed) == (True, True)  # told, though not asked for
    elsewhere = replace(elsewhere, weights=dict.fromkeys(SEEDS, "0" * 64))
    (again,) = rerun([elsewhere], 1)
    assert (again.same_bits, again.passed) == (None, True)
    assert "it differs in processor" in again.text
    # Moved until it is just inside, and just outside, of what is computed here by hand.
    measured = again.measured
    spread = [0.001 if seed % 2 else -0.001 for seed in SEEDS]
    reach = stats.t.ppf(0.9995, 19) * statistics.stdev(spread) * (1 + 1 / 20) ** 0.5
    for share, inside in ((0.98, True), (1.02, False)):
        around = [measured + share * reach + by for by in spread]
        (again,) = rerun([moved(elsewhere, around)], 1)
        assert (again.same_bits, again.passed) == (None, inside)


def test_a_training_that_fails(record, tmp_path):
    (tmp_path / "file").touch()
    (again,) = rerun([record], 1, data_dir=tmp_path / "file")
    assert (again.measured, again.passed) == (None, False)
    assert "could not be trained: " in again.text


def test_the_command(record, tmp_path, capsys):
    path = write(record, tmp_path / "records")
    assert check(path) == []
    assert main(["records", "verify", str(path), "--rerun", "1"]) == 0
    out = capsys.readouterr().out
    assert "tiny, seed 0: " in out
    assert "the same bits" in out
    # Another's weights, under a seal that is right.
    values = read_json(path / "record.json")
    values["seeds"][0]["weights_sha256"] = values["seeds"][1]["weights_sha256"]
    values["sha256"] = seal(values, read_text(path / "curves.jsonl"))
    write_json(path / "record.json", values)
    assert check(path) == []
    assert main(["records", "verify", str(path), "--rerun", "1", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["passed"] is False
    assert shown["records"][0]["wrong"] == []
    assert [again["same_bits"] for again in shown["reruns"]] == [False]


def test_two_recipes_in_pairs(tmp_path, monkeypatch, capsys, mnist: Mnist):
    monkeypatch.chdir(tmp_path)
    other = replace(TINY.with_changes(learning_rate=0.001), name="slow")
    for recipe in (TINY, other):
        write_text(Path(f"{recipe.name}.json"), recipe.to_json())
    assert main(["bench", "tiny.json", "--seeds", "3-5", "--vs", "slow.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    ours, theirs = Bench.open(Path(shown["folder"])), Bench.open(Path(shown["versus"]["folder"]))
    assert (ours.recipe, theirs.recipe) == (TINY, other)
    by_hand = [a - b for a, b in zip(ours.last, theirs.last, strict=True)]
    difference = shown["versus"]["difference"]
    assert difference["n"] == 3
    assert difference["mean"] == pytest.approx(statistics.fmean(by_hand))
    assert difference["mean"] > 0  # a learning rate of 0.001 learns next to nothing in 50 steps
    assert difference["sd"] == pytest.approx(statistics.stdev(by_hand))
    assert difference["t_test_p"] == pytest.approx(stats.ttest_rel(ours.last, theirs.last).pvalue)


def test_a_recipe_without_a_seed_leaves_the_other_its_bench(tmp_path, monkeypatch, capsys, mnist: Mnist):
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "barred"):
        write_text(Path(f"{name}.json"), replace(TINY, name=name).to_json())
    Path("runs").mkdir()
    for seed in (0, 1):
        Path(f"runs/barred-{seed}").touch()
    assert main(["bench", "tiny.json", "--seeds", "0-1", "--vs", "barred.json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1].count("barred-0 is a file")) == ("", 1)
    assert "the other's bench is in benches/tiny-seeds-0-1" in err
    assert len(Bench.open(Path("benches/tiny-seeds-0-1")).seeds) == 2


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="time is measured on two cores")
def test_a_timing_in_turns(tmp_path, monkeypatch, mnist: Mnist):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    told: list[str] = []
    engine = "torch" if native_engine.unavailable() else "native"  # torch, on a busy machine, takes minutes
    reference = replace(TINY, name="reference")
    timing = in_turns(TINY, engine, reference, reference_engine=engine, turns=2, tell=told.append)
    assert [text.split(":")[0] for text in told] == ["turn 1 of 2"] * 2 + ["turn 2 of 2"] * 2
    assert (timing.reference, timing.cores) == (f"reference, {engine} engine, fp32", 2)
    assert len(timing.subject_s) == len(timing.reference_s) == 2
    assert min(*timing.subject_s, *timing.reference_s) > 0
    with pytest.raises(UserError, match=r"a training that was to be timed failed: .*momentum"):
        in_turns(TINY, engine, TINY, turns=1, options=("--momentum", "2"))
    assert list(tmp_path.iterdir()) == []
    if allowed is not None:
        assert os.sched_getaffinity(0) == allowed
