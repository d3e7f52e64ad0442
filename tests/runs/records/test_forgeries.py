"""Forgeries of real records, made to fit in all else: what a record says gives each of them away."""

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
    """What the forger does if it changes nothing."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_forger_itself_leaves_no_trace(folder, tmp_path):
    """So whatever is found in the tests below is found in the change alone."""
    path = forge(folder, tmp_path, unchanged)
    assert check(path) == []
    assert remarks(Record.open(path)) == []


@pytest.mark.parametrize("kind", EVERY)
def test_what_no_training_gives_is_found(kind, tmp_path):
    path = forge(FAST, tmp_path, EVERY[kind])
    found = check(path)
    assert found
    assert not any("\n" in text for text in found)


@pytest.mark.parametrize("kind", REMARKABLE)
def test_what_a_training_hardly_gives_is_said(kind, tmp_path, capsys):
    # Of a track that asks for no mean: in others, such a seed breaks a rule.
    accurate = next(folder for folder in FOLDERS if folder.parent.name == "accurate")
    path = forge(accurate, tmp_path, REMARKABLE[kind])
    assert check(path) == []
    (said,) = remarks(Record.open(path))
    assert main(["records", "verify", str(path), "--no-models"]) == 0
    assert f"holds\n  unusual: {said}\n1 of 1 records hold\n" in capsys.readouterr().out
    assert main(["records", "verify", str(path), "--no-models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"][0]["remarks"] == [said]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_kept_model_gives_its_last_epoch(folder, mnist: Mnist):
    wrong, text = evaluated(folder)
    assert wrong == []
    assert "as its last epoch says" in text


@pytest.mark.parametrize("kind", MODELS)
def test_what_the_kept_model_does_not_give_is_found(kind, tmp_path, capsys, mnist: Mnist):
    with as_recorded(Record.open(FAST).bench.seeds[0].environment) as arithmetic:
        if kind.endswith("moved by +1 images") and not arithmetic.exact:
            pytest.skip("an image is rounding with another instruction set than the record's")
    path = forge(FAST, tmp_path, MODELS[kind])
    assert check(path) == []
    (found,) = evaluated(path)[0]
    assert "its model of seed 0" in found
    assert main(["records", "verify", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.endswith("0 of 1 records hold\n")
    assert "holds" not in out


def test_elsewhere_two_images_are_rounding(tmp_path, monkeypatch, mnist: Mnist):
    """Where UNDER20K_ISA forbids the record's instruction set, and the count is not asked for exactly."""
    if instruction_sets.unavailable():
        pytest.skip("one engine only")
    monkeypatch.setenv("UNDER20K_ISA", "baseline")
    assert evaluated(forge(FAST, tmp_path, MODELS["the kept seed's accuracy moved by +1 images"]))[0] == []
    assert evaluated(forge(FAST, tmp_path, MODELS["the kept seed's accuracy moved by +3 images"]))[0] != []


def raised(forged: Forged) -> None:
    """Every seed but the kept one ten images better, from an epoch's figures of its own."""
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
def test_what_no_check_can_find(change: Change, tmp_path, mnist: Mnist):
    """The limits, which docs/records.md names. Training again finds the first four (``test_rerun``)."""
    path = forge(FAST, tmp_path, change)
    assert check(path) == []
    assert evaluated(path)[0] == []
