"""Training a run: what is saved when, and that it resumes to the same bits."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.small_training import SEED, SMALL, fresh, untimed
from under20k.engine.base import Divergence
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.recipe.plan import epoch_plan
from under20k.recipe.weights import initial_weights
from under20k.runs.events import EpochDone, Event, Step
from under20k.runs.metrics import EpochMetrics
from under20k.runs.run import Run
from under20k.runs.train import train_run


class Log:
    """Keeps steps and epochs, and breaks off when so many images of an epoch are done."""

    def __init__(self, break_epoch: int = 0, break_images: int = 0) -> None:
        self.break_at = (break_epoch, break_images)
        self.steps: list[tuple[int, int]] = []
        self.epochs: list[EpochMetrics] = []

    def __call__(self, event: Event) -> None:
        match event:
            case Step(images=images):
                self.steps.append((len(self.epochs) + 1, images))
                if self.steps[-1] == self.break_at:
                    raise KeyboardInterrupt
            case EpochDone(metrics=metrics):
                self.epochs.append(metrics)


def model_bytes(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def test_a_whole_training(few, tmp_path):
    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    log = Log()
    metrics = train_run(run, few, fresh(), log)
    assert sorted(os.listdir(run.path)) == [
        "checkpoint.safetensors",
        "environment.json",
        "metrics.jsonl",
        "model.safetensors",
        "recipe.json",
    ]
    assert metrics == Run.open(run.path).metrics() == log.epochs
    assert [row.epoch for row in metrics] == [1, 2, 3]
    assert log.steps == [(epoch, images) for epoch in (1, 2, 3) for images in (320, 352)]
    for row in metrics:
        plan = epoch_plan(SMALL, SEED, row.epoch, 352)
        assert row.learning_rate == plan.learning_rates[0]
        assert row.total_time_s >= row.train_time_s > 0
        assert row.images_per_s == pytest.approx(352 / row.train_time_s)
    assert metrics[-1].train_loss < metrics[0].train_loss


def test_the_saved_model_is_the_averaged_one(few, tmp_path):
    run, engine = Run.create(tmp_path / "run", SMALL, SEED, {}), fresh()
    train_run(run, few, engine)
    saved, state = run.weights(), engine.state()
    for name, value in saved.items():
        assert np.array_equal(value, state[f"average.{name}"])
    assert not np.array_equal(saved["head.conv.weight"], state["head.conv.weight"])


@pytest.mark.parametrize("break_off", [(1, 320), (2, 320), (3, 352)])
def test_broken_off_and_resumed_gives_the_same_bits(few, tmp_path, break_off):
    straight = Run.create(tmp_path / "straight", SMALL, SEED, {})
    expected = train_run(straight, few, fresh())
    broken = Run.create(tmp_path / "broken", SMALL, SEED, {})
    with pytest.raises(KeyboardInterrupt):
        train_run(broken, few, fresh(), Log(*break_off))
    assert not broken.finished
    assert untimed(broken.metrics()) == untimed(expected[: break_off[0] - 1])
    resumed = train_run(Run.open(broken.path), few, fresh())
    assert untimed(resumed) == untimed(expected)
    assert model_bytes(broken.path) == model_bytes(straight.path)


def test_a_kill_between_the_last_epoch_and_the_model_only_needs_the_model(few, tmp_path):
    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    expected = train_run(run, few, fresh())
    before = model_bytes(run.path)
    (run.path / "model.safetensors").unlink()
    (run.path / "metrics.jsonl").unlink()
    log = Log()
    assert train_run(Run.open(run.path), few, fresh(), log) == expected
    assert log.steps == []
    assert model_bytes(run.path) == before
    assert run.metrics() == expected


def test_a_checkpoint_that_does_not_fit_is_refused_before_training(few, tmp_path):
    metrics = train_run(Run.create(tmp_path / "other", SMALL, SEED, {}), few, fresh())
    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    run.save_epoch(initial_weights(SMALL.architecture, SEED), metrics[:1])
    with pytest.raises(UserError, match="the state does not fit"):
        train_run(run, few, fresh())


def test_divergence_leaves_no_model_and_the_epochs_before(few, tmp_path):
    recipe = SMALL.with_changes(learning_rate=100, weight_decay=1, schedule="constant", momentum=0)
    run = Run.create(tmp_path / "run", recipe, SEED, {})
    with pytest.raises(Divergence, match="lower --learning-rate"):
        train_run(run, few, fresh(recipe))
    assert not run.finished
    assert len(run.metrics()) < 3


def test_an_unwritable_folder_ends_the_training_with_a_user_error(few, tmp_path):
    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    (run.path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be written"):
        train_run(run, few, fresh())


def test_weights_that_overflow_in_evaluation_are_a_divergence(few, tmp_path):
    """The last step's loss was finite; what it did to the weights was not."""

    class Overflowing(TorchEngine):
        def logits(self, images):
            return np.full((len(images), 10), np.inf, np.float32)

    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    with pytest.raises(Divergence, match="the weights diverged in epoch 1; lower --learning-rate"):
        train_run(run, few, Overflowing(SMALL, initial_weights(SMALL.architecture, SEED)))
    assert sorted(os.listdir(run.path)) == ["environment.json", "recipe.json"]
