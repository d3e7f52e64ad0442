"""Forge real records, consistently but for one thing: verification finds each forgery."""

import json

import pytest

from tests.support import ROOT
from tests.support.forger import FORGERIES, MODELS, OF_TIMING, REMARKABLE, Change, Forged, every_epoch, forge
from under20k.cli.main import main
from under20k.data import Mnist
from under20k.engine import isa as instruction_sets
from under20k.runs.records.arithmetic import as_recorded
from under20k.runs.records.consistency import remarks
from under20k.runs.records.folders import record_folders
from under20k.runs.records.record import Record
from under20k.runs.records.verify import check, evaluated

RECORDS = ROOT / "records"
FOLDERS = record_folders(RECORDS)
FAST = next(folder for folder in FOLDERS if folder.parent.name == "fast")
EVERY = FORGERIES | OF_TIMING


def unchanged(forged: Forged) -> None:
    """Change nothing."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_unchanged_copy_by_the_forger_is_valid(folder, tmp_path):
    """So that the tests below find the change and nothing else."""
    path = forge(folder, tmp_path, unchanged)
    assert check(path) == []
    assert remarks(Record.open(path)) == []


@pytest.mark.parametrize("kind", EVERY)
def test_values_that_no_training_gives_are_found(kind, tmp_path):
    path = forge(FAST, tmp_path, EVERY[kind])
    found = check(path)
    assert found
    assert not any("\n" in text for text in found)


@pytest.mark.parametrize("kind", REMARKABLE)
def test_unusual_values_are_reported_and_fail_nothing(kind, tmp_path, capsys):
    # A track that requires no mean: in others, such a seed breaks a rule.
    accurate = next(folder for folder in FOLDERS if folder.parent.name == "accurate")
    path = forge(accurate, tmp_path, REMARKABLE[kind])
    assert check(path) == []
    (remark,) = remarks(Record.open(path))
    assert main(["records", "verify", str(path), "--no-models"]) == 0
    assert capsys.readouterr().out == (f"✓ 1 of 1 records valid\n{path}: ✓ valid\n  unusual: {remark}\n")
    assert main(["records", "verify", str(path), "--no-models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"][0]["remarks"] == [remark]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_kept_model_matches_its_last_epoch(folder, mnist: Mnist):
    wrong, text = evaluated(folder)
    assert wrong == []
    assert "as its last epoch records" in text


@pytest.mark.parametrize("kind", MODELS)
def test_figures_that_the_kept_model_contradicts_are_found(kind, tmp_path, capsys, mnist: Mnist):
    with as_recorded(Record.open(FAST).bench.seeds[0].environment) as arithmetic:
        if kind.endswith("moved by +1 images") and not arithmetic.exact:
            pytest.skip("without the record's instruction set, an image may be rounding")
    path = forge(FAST, tmp_path, MODELS[kind])
    assert check(path) == []
    (found,) = evaluated(path)[0]
    assert "its model of seed 0" in found
    assert main(["records", "verify", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("✗ 0 of 1 records valid\n")
    assert f"{path}: ✗ invalid\n" in out


def test_two_images_may_differ_with_another_instruction_set(tmp_path, monkeypatch, mnist: Mnist):
    """UNDER20K_ISA forbids the record's instruction set, so the count need not be exact."""
    if instruction_sets.unavailable():
        pytest.skip("one engine only")
    monkeypatch.setenv("UNDER20K_ISA", "baseline")
    assert evaluated(forge(FAST, tmp_path, MODELS["the kept seed's accuracy moved by +1 images"]))[0] == []
    assert evaluated(forge(FAST, tmp_path, MODELS["the kept seed's accuracy moved by +3 images"]))[0] != []


def raised(forged: Forged) -> None:
    """Raise the last accuracy of every seed but the kept one by ten images."""
    for number in range(1, len(forged.curves)):
        last = forged.epochs(number)[-1]
        last["validation_accuracy"] = (round(10_000 * last["validation_accuracy"]) + 10) / 10_000


def invented_weights(forged: Forged) -> None:
    for number, seed in enumerate(forged.values["seeds"][1:], 1):
        seed["weights_sha256"] = f"{number:064x}"


def faster(forged: Forged) -> None:
    for number in range(len(forged.curves)):
        every_epoch(
            forged,
            number,
            train_time_s=lambda epoch: epoch["train_time_s"] / 2,
            total_time_s=lambda epoch: epoch["total_time_s"] / 2,
            images_per_s=lambda epoch: epoch["images_per_s"] * 2,
        )


def slower_reference(forged: Forged) -> None:
    forged.timing["reference_s"] = [3 * seconds for seconds in forged.timing["reference_s"]]


def another_processor(forged: Forged) -> None:
    forged.environment["processor"] = forged.timing["processor"] = "A processor of its own"


def better_readings(forged: Forged) -> None:
    for seed in forged.values["seeds"]:
        seed["test_readings"][0]["correct"] += 10


@pytest.mark.parametrize(
    "change", [raised, invented_weights, faster, slower_reference, another_processor, better_readings]
)
def test_forgeries_that_no_check_can_find(change: Change, tmp_path, mnist: Mnist):
    """The limits, as docs/records.md lists them. Retraining finds the first four (``test_rerun``)."""
    path = forge(FAST, tmp_path, change)
    assert check(path) == []
    assert evaluated(path)[0] == []
