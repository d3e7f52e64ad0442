"""``under20k records submit``: which benches become records, which are refused, and what is written."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import under20k.runs.records.submit
from tests.support.benches import SMALL, around, bench_of, on_disk
from under20k.cli.main import main
from under20k.data import Mnist, load_test
from under20k.engine.base import NUMERICS, Compute
from under20k.engine.evaluation import Evaluation
from under20k.errors import UserError
from under20k.files import read_json, write_json, write_text
from under20k.recipe.named import MINIMAL
from under20k.report.records import write_record_page
from under20k.runs.evaluate import evaluate
from under20k.runs.provenance import processor
from under20k.runs.records.kept_model import weights_sha256
from under20k.runs.records.record import Record
from under20k.runs.records.submit import submit
from under20k.runs.records.timing import Timing
from under20k.runs.records.verify import check
from under20k.runs.run import Run

TORCH = Compute("torch", threads=1)
TIMING = Timing("minimal, torch engine, fp32", (2.0, 2.2, 2.1), (90.0, 99.0, 84.0), 2, "A processor")


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every model reach what its last epoch says, and 99.50% on test; return who read the test set."""
    read: list[str] = []

    def evaluation(run: Run, split: str = "validation", **options) -> Evaluation:
        last = run.metrics()[-1].validation_accuracy
        correct = 9_950 if split == "test" else round(10_000 * last)
        confusion = np.zeros((10, 10), np.int64)
        confusion[0, :2] = correct, 10_000 - correct
        found = Evaluation(split, correct, 10_000, 0.02, confusion)
        if split == "test":
            run.add_test_reading({"read": "2026-01-03T00:00:00+00:00", **found.to_dict()})
            read.append(run.path.name)
        return found

    monkeypatch.setattr(under20k.runs.records.submit, "evaluate", evaluation)
    return read


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Let every training take the seconds of ``TIMING``; return what was timed."""
    calls: list[tuple] = []

    def in_turns(recipe, engine, reference, **options) -> Timing:
        calls.append((recipe, engine, reference, options["reference_engine"], options["turns"]))
        return replace(TIMING, processor=processor())

    monkeypatch.setattr(under20k.runs.records.submit, "in_turns", in_turns)
    return calls


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, bench: Path, track: str, **options) -> str:
    """Return why a bench is refused, which writes nothing."""
    before = contents(folder)
    with pytest.raises(UserError) as error:
        submit(bench, track, records_dir=folder / "records", **options)
    assert contents(folder) == before
    return str(error.value)


def test_a_record_matches_its_bench(tmp_path, trusted):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    path = submit(bench, "small", name="tiny", records_dir=tmp_path / "records")
    assert path.parent == tmp_path / "records" / "small"
    assert path.name.endswith("-tiny")
    assert {file.name for file in path.iterdir()} == {"record.json", "curves.jsonl", "model.safetensors"}
    assert trusted == [f"{SMALL.name}-{seed}" for seed in range(20)]
    values = read_json(path / "record.json")
    last = np.array(around(0.9945))
    assert values["parameters"] == SMALL.architecture.parameters
    assert [seed["validation_accuracy"] for seed in values["seeds"]] == last.tolist()
    assert values["statistics"]["mean"] == pytest.approx(last.mean(), abs=1e-12)
    assert values["statistics"]["sd"] == pytest.approx(last.std(ddof=1), abs=1e-12)
    assert values["statistics"]["share_at_target"] == 1.0
    assert values["test"] == {"n": 20, "mean": pytest.approx(0.995, abs=1e-12), "sd": 0.0}
    assert values["split"].startswith("50000 train, 10000 validate, sha256 ")
    assert all(
        seed["test_readings"] == [{"read": "2026-01-03T00:00:00+00:00", "correct": 9950, "images": 10000}]
        for seed in values["seeds"]
    )
    weights = Run.open(tmp_path / "runs" / f"{SMALL.name}-7").weights()
    assert values["seeds"][7]["weights_sha256"] == weights_sha256(weights)
    first = tmp_path / "runs" / f"{SMALL.name}-0" / "model.safetensors"
    assert (path / "model.safetensors").read_bytes() == first.read_bytes()
    (environment,) = values["environments"]
    assert environment["seeds"] == list(range(20))
    assert (environment["engine"], environment["precision"], environment["numerics"]) == (
        "torch",
        "fp32",
        NUMERICS,
    )
    assert "timing" not in values
    curves = [json.loads(line) for line in (path / "curves.jsonl").read_text().splitlines()]
    assert [(line["seed"], len(line["epochs"])) for line in curves] == [(seed, 2) for seed in range(20)]
    write_record_page(Record.open(path), path)
    page = (path / "README.md").read_text()
    assert "99.450 ± 0.031 %" in page
    assert "![" in page or "<img " in page
    assert check(path) == []


@pytest.mark.slow
def test_the_models_are_really_evaluated(tmp_path, mnist: Mnist):
    """With untrained models, whose recorded accuracies are their own."""
    accuracy = {}

    def of(run: Run) -> float:
        accuracy[run.seed] = evaluate(run, compute=TORCH).accuracy
        return accuracy[run.seed]

    bench = on_disk(tmp_path, bench_of(around(0.5)), of)
    path = submit(bench, "accurate", records_dir=tmp_path / "records")
    record = Record.open(path)
    assert [seed.validation_accuracy for seed in record.bench.seeds] == list(accuracy.values())
    test = load_test()
    for seed in (0, 19):
        run = Run.open(tmp_path / "runs" / f"{SMALL.name}-{seed}")
        (reading,) = run.test_readings()
        logits = evaluate(run, "test", compute=TORCH).logits
        assert reading["correct"] == (logits.argmax(1) == test.labels).sum()
        assert record.readings[seed][0].correct == reading["correct"]
    assert check(path) == []


@pytest.mark.slow
def test_a_model_that_contradicts_its_last_epoch_is_refused(tmp_path, mnist: Mnist):
    def of(run: Run) -> float:
        return evaluate(run, compute=TORCH).accuracy + (0.0003 if run.seed == 13 else 0)

    bench = on_disk(tmp_path, bench_of(around(0.5)), of)
    message = refused(tmp_path, bench, "accurate")
    assert f"{SMALL.name}-13: its model has " in message


def test_fast_is_timed(tmp_path, trusted, timed):
    bench = on_disk(tmp_path, bench_of(around(0.9945), processor=processor()))
    path = submit(bench, "fast", records_dir=tmp_path / "records")
    assert timed == [(SMALL, "torch", MINIMAL, "torch", 3)]
    values = read_json(path / "record.json")
    # Medians by hand; the ratio is that of the turns, 45, 45 and 40.
    assert (values["timing"]["median_s"], values["timing"]["reference_median_s"]) == (2.1, 90.0)
    assert values["timing"]["ratio"] == pytest.approx(45)
    assert check(path) == []
    write_record_page(Record.open(path), path)
    assert (
        "2.10 s (in turns 2.00, 2.20, 2.10), against 90.0, 99.0, 84.0 s" in (path / "README.md").read_text()
    )


def test_an_unfit_timing_is_refused_before_a_test_image_is_read(tmp_path, trusted, timed):
    bench = on_disk(tmp_path, bench_of(around(0.9945), processor=processor()))
    assert "--turns is 2; at least 3 are needed" in refused(tmp_path, bench, "fast", turns=2)
    of_other_code = on_disk(tmp_path / "other", bench_of(around(0.9945), numerics=NUMERICS + 1))
    message = refused(tmp_path, of_other_code, "fast")
    assert "did not train the bench" in message
    assert "trained on 'A processor'" in message
    assert (trusted, timed) == ([], [])


def test_every_rule_that_is_broken_is_named_at_once(tmp_path, trusted, timed):
    recipe = SMALL.with_changes(epochs=25, architecture="2np,4p|l")
    bench = on_disk(tmp_path, bench_of(around(0.9930, 12), recipe, git=f"{'0' * 40}-dirty"))
    message = refused(tmp_path, bench, "fast")
    for words in (
        "not a record of the track fast: 25 epochs; fewer than 20 are allowed",
        "no BatchNorm in block 1",
        "12 seeds; at least 20 are needed",
        "uncommitted sources",
        "the mean is 99.300%; 99.40% is needed",
        "p-value 1.0 (one-sided t-test, H₀: mean ≤ 99.40%); it must be below 0.01",
    ):
        assert words in message
    assert trusted == []
    assert timed == []


def test_a_test_set_read_twice_is_refused(tmp_path, trusted):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    run = Run.open(tmp_path / "runs" / f"{SMALL.name}-4")
    for _ in range(2):
        run.add_test_reading({"read": "2026-01-02T00:00:00+00:00", "correct": 9_900, "images": 10_000})
    assert "seed 4 read the test set 2 times" in refused(tmp_path, bench, "small")
    assert trusted == []


def test_an_earlier_reading_counts(tmp_path, trusted):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    run = Run.open(tmp_path / "runs" / f"{SMALL.name}-4")
    run.add_test_reading({"read": "2026-01-02T12:00:00+00:00", "correct": 9_900, "images": 10_000})
    path = submit(bench, "small", records_dir=tmp_path / "records")
    assert f"{SMALL.name}-4" not in trusted
    assert read_json(path / "record.json")["seeds"][4]["test_readings"][0]["correct"] == 9_900


def test_a_record_is_never_overwritten(tmp_path, trusted):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    path = submit(bench, "small", name="tiny", records_dir=tmp_path / "records")
    assert "already exists" in refused(tmp_path, bench, "small", name="tiny")
    other = submit(bench, "small", name="other", records_dir=tmp_path / "records")
    assert other.parent == path.parent
    assert len(trusted) == 20  # the second one read nothing


@pytest.mark.parametrize("name", ["../up", ".hidden", ".."])
def test_names_that_cannot_be_a_folder_are_refused(tmp_path, trusted, name):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    assert "--name is " in refused(tmp_path, bench, "small", name=name)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("a\nb ", "a_b_"), ("ä/ö", "ä_ö"), ("x" * 300, "x" * 200), ("2.0,b=1+c", "2.0,b=1+c")],
)
def test_names_are_made_safe_for_folders(tmp_path, trusted, name, folder):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    path = submit(bench, "small", name=name, records_dir=tmp_path / "records")
    assert path.parent == tmp_path / "records" / "small"
    assert path.name[len("2026-01-04-") :][:200] == folder
    assert len(path.name) <= 255
    assert check(path) == []


def gone(folder: Path) -> None:
    shutil.rmtree(folder / "runs" / f"{SMALL.name}-3")


def another(folder: Path) -> None:
    write_text(folder / "runs" / f"{SMALL.name}-3" / "recipe.json", MINIMAL.to_json())


def unfinished(folder: Path) -> None:
    (folder / "runs" / f"{SMALL.name}-3" / "model.safetensors").unlink()


def trained_again(folder: Path) -> None:
    path = folder / "runs" / f"{SMALL.name}-3" / "metrics.jsonl"
    write_text(path, path.read_text().replace('"train_loss": 0.1', '"train_loss": 0.11'))


def resumed(folder: Path) -> None:
    path = folder / "runs" / f"{SMALL.name}-3" / "environment.json"
    environment = read_json(path)
    write_json(path, {**environment, "resumed": [{**environment, "engine": "native"}]})


@pytest.mark.parametrize("harm", [gone, another, unfinished, trained_again, resumed])
def test_runs_that_changed_since_the_bench_are_refused(tmp_path, trusted, harm):
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    harm(tmp_path)
    assert f"{SMALL.name}-3" in refused(tmp_path, bench, "small")
    assert trusted == []


def test_a_resumed_training_is_marked(tmp_path, trusted):
    """Its last start is recorded, which may be too late for its seconds before the test reading."""
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    path = tmp_path / "runs" / f"{SMALL.name}-3" / "environment.json"
    environment = read_json(path)
    write_json(path, {**environment, "resumed": [{**environment, "started": "2026-01-02T23:59:59+00:00"}]})
    record = submit(bench, "small", records_dir=tmp_path / "records")
    message = [(seed["started"], seed.get("resumed")) for seed in read_json(record / "record.json")["seeds"]]
    assert message[3] == ("2026-01-02T23:59:59+00:00", True)
    assert message[2] == ("2026-01-02T03:04:05+00:00", None)
    assert check(record) == []


def command(*arguments: str | Path) -> Sequence[str]:
    return ["records", "submit", *map(str, arguments)]


def test_the_command(tmp_path, trusted, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = on_disk(tmp_path, bench_of(around(0.9945)))
    today = str(datetime.now(UTC).date())
    assert main([*command(bench, "--track", "small", "--date", "2026-02-03", "--name", "tiny")]) == 2
    assert (
        "the record's date, 2026-02-03, is before its last reading of the test set" in capsys.readouterr().err
    )
    assert main([*command(bench, "--track", "small", "--date", today, "--name", "tiny")]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(f"record: records/small/{today}-tiny\n")
    assert "reading the test set" in err
    assert main(["records", "verify", "--no-models"]) == 0
    assert capsys.readouterr().out == (f"✓ 1 of 1 records valid\nrecords/small/{today}-tiny: ✓ valid\n")
    assert main([*command(bench, "--track", "small", "--date", today, "--name", "tiny")]) == 2
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere", "--track", "small"), "there is no bench in nowhere"),
        (("nowhere", "--track", "smal"), "there is no track 'smal'; did you mean 'small'?"),
        (("nowhere", "--track", "fast", "--turns", "0"), "--turns is 0; give 1 to 100"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main([*command(*arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
