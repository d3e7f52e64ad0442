"""The weights of every epoch, kept while training: what they are, and that resuming misses none."""

import os
import shutil

import numpy as np
import pytest

from tests.runs.test_train import Log
from tests.support.small_training import SEED, SMALL, fresh
from under20k.errors import UserError
from under20k.runs.events import EpochDone, Note
from under20k.runs.places import Places
from under20k.runs.run import Run
from under20k.runs.snapshots import read_snapshot, remove_snapshots, snapshot_epochs
from under20k.runs.train import train, train_run

FILES = ["epoch-01.safetensors", "epoch-02.safetensors", "epoch-03.safetensors"]


def contents(run):
    """What the files of the snapshots hold, by their names."""
    return {path.name: path.read_bytes() for path in sorted((run.path / "snapshots").iterdir())}


@pytest.fixture
def whole(few, tmp_path):
    """A training that nothing disturbed."""
    run = Run.create(tmp_path / "whole", SMALL, SEED, {})
    train_run(run, few, fresh(), snapshots=True)
    return run


def test_they_are_the_weights_that_each_epoch_evaluated(few, tmp_path):
    run, engine, evaluated = Run.create(tmp_path / "run", SMALL, SEED, {}), fresh(), []

    def look(event):
        if isinstance(event, EpochDone):
            evaluated.append(engine.weights())

    train_run(run, few, engine, look, snapshots=True)
    assert list(contents(run)) == FILES
    snapshots = run.snapshots()
    assert list(snapshots) == [1, 2, 3]
    for weights, expected in zip(snapshots.values(), evaluated, strict=True):
        assert weights.keys() == expected.keys()
        assert all(np.array_equal(weights[name], expected[name]) for name in weights)
    assert contents(run)[FILES[-1]] == (run.path / "model.safetensors").read_bytes()


def test_without_them_a_run_is_what_it_is_with_them(few, whole, tmp_path):
    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    train_run(run, few, fresh())
    assert {*os.listdir(whole.path)} - {*os.listdir(run.path)} == {"snapshots"}
    model = "model.safetensors"
    assert (run.path / model).read_bytes() == (whole.path / model).read_bytes()
    assert run.snapshots() == {}


@pytest.mark.parametrize("break_off", [(1, 320), (2, 320), (3, 352)])
def test_broken_off_and_resumed_has_all_of_them(few, whole, tmp_path, break_off):
    broken = Run.create(tmp_path / "broken", SMALL, SEED, {})
    with pytest.raises(KeyboardInterrupt):
        train_run(broken, few, fresh(), Log(*break_off), snapshots=True)
    assert list(Run.open(broken.path).snapshots()) == list(range(1, break_off[0]))
    train_run(Run.open(broken.path), few, fresh(), snapshots=True)
    assert contents(broken) == contents(whole)


def test_a_kill_between_snapshot_and_checkpoint_loses_none(few, whole, tmp_path, monkeypatch):
    broken = Run.create(tmp_path / "broken", SMALL, SEED, {})

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_run(broken, few, fresh(), snapshots=True)
    assert list(contents(broken)) == FILES[:1]
    assert broken.snapshots() == {}  # of no finished epoch
    train_run(Run.open(broken.path), few, fresh(), snapshots=True)
    assert contents(broken) == contents(whole)


def test_epochs_trained_before_without_them_are_named(few, tmp_path):
    run, events = Run.create(tmp_path / "run", SMALL, SEED, {}), []
    with pytest.raises(KeyboardInterrupt):
        train_run(run, few, fresh(), Log(3, 320))
    train_run(Run.open(run.path), few, fresh(), events.append, snapshots=True)
    (note,) = (event.text for event in events if isinstance(event, Note))
    assert note == f"{run.path}: no snapshots of epochs trained before without --snapshots (1, 2)"
    assert list(run.snapshots()) == [3]


def test_a_resumed_run_goes_on_with_them(few, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("under20k.runs.train.load", lambda *_, **__: few)
    places = Places(tmp_path / "runs")

    def break_off(event):
        if isinstance(event, EpochDone) and event.metrics.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, SEED, places=places, snapshots=True, on_event=break_off)
    run = train(SMALL, SEED, places=places)
    assert list(run.snapshots()) == [1, 2, 3]
    assert train(SMALL, SEED, places=places, snapshots=True) == run


def test_a_finished_run_without_them_is_not_reused_for_them(few, tmp_path, monkeypatch):
    monkeypatch.setattr("under20k.runs.train.load", lambda *_, **__: few)
    run = train(SMALL, SEED, places=Places(tmp_path))
    with pytest.raises(UserError, match="is finished and has no snapshots; train again with --overwrite"):
        train(SMALL, SEED, places=Places(tmp_path), snapshots=True)
    train(SMALL, SEED, places=Places(tmp_path), snapshots=True, existing="replace")
    assert list(Run.open(run.path).snapshots()) == [1, 2, 3]


def test_replacing_a_run_removes_them_and_nothing_else(whole):
    (whole.path / "snapshots" / ".epoch-02-abc.safetensors").touch()  # left by a kill
    Run.create(whole.path, SMALL, SEED, {}, overwrite=True)
    assert sorted(os.listdir(whole.path)) == ["environment.json", "recipe.json"]


def test_other_files_among_them_stay(whole):
    note = whole.path / "snapshots" / "notes.txt"
    note.write_text("mine")
    assert snapshot_epochs(whole.path) == [1, 2, 3]
    remove_snapshots(whole.path)
    assert [note] == list(note.parent.iterdir())


def test_a_damaged_one_and_one_of_another_run_are_refused(whole, tmp_path):
    first = whole.path / "snapshots" / FILES[0]
    first.write_bytes(first.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"epoch-01\.safetensors is damaged"):
        whole.snapshots()
    shutil.copytree(whole.path, tmp_path / "copy")
    with pytest.raises(UserError, match=r"epoch-02\.safetensors belongs to another recipe or seed"):
        read_snapshot(tmp_path / "copy", SMALL, SEED + 1, 2)
