"""The training loop on a few hundred real images."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import under20k.runs.plausible
from under20k.data import Mnist, Split
from under20k.engine.base import Divergence
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights
from under20k.runs.events import EpochDone, Event, Step
from under20k.runs.loop import train_epochs
from under20k.runs.metrics import EpochMetrics
from under20k.runs.run import Run
from under20k.runs.train import train_run

SMALL = MINIMAL.with_changes(
    architecture="8,12pd0.1,14p,16v|3v",
    epochs=3,
    batch_size=32,
    learning_rate=0.05,
    schedule="one-cycle",
    rotation_deg=10,
    average_decay=0.9,
)
SEED = 5


@pytest.fixture
def few(mnist: Mnist, monkeypatch: pytest.MonkeyPatch) -> Mnist:
    """The first images, of which a run's accuracies are then shares."""
    monkeypatch.setattr(under20k.runs.plausible, "TRAIN_IMAGES", 352)
    monkeypatch.setattr(under20k.runs.plausible, "VALIDATION_IMAGES", 160)

    def first(split: Split, count: int) -> Split:
        return replace(split, images=split.images[:count], labels=split.labels[:count])

    return Mnist(first(mnist.train, 352), first(mnist.validation, 160))


def fresh(recipe: Recipe = SMALL) -> TorchEngine:
    return TorchEngine(recipe, initial_weights(recipe.architecture, SEED))


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


def untimed(metrics: list[EpochMetrics]) -> list[EpochMetrics]:
    return [replace(row, train_time_s=0, total_time_s=0, images_per_s=0) for row in metrics]


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


def test_the_loop_yields_every_epoch_that_is_left_and_saves_nothing(few):
    whole, rest = fresh(), fresh()
    epochs = list(train_epochs(SMALL, SEED, few, whole))
    first = train_epochs(SMALL, SEED, few, rest)
    assert untimed([next(first)]) == untimed(epochs[:1])
    first.close()
    steps: list[int] = []
    others = list(train_epochs(SMALL, SEED, few, rest, done=1, on_step=steps.append))
    assert untimed(others) == untimed(epochs[1:])
    assert steps == [320, 352] * 2
    weights = whole.weights()
    assert all(np.array_equal(value, weights[name]) for name, value in rest.weights().items())


def test_metrics_are_counted_over_whole_splits(few, tmp_path):
    """The same three epochs by hand."""
    metrics = train_run(Run.create(tmp_path / "run", SMALL, SEED, {}), few, fresh())
    engine = fresh()
    for row in metrics:
        plan = epoch_plan(SMALL, SEED, row.epoch, 352)
        result = engine.train_epoch(few.train.images, few.train.labels, plan, lambda images: None)
        assert row.train_accuracy == result.correct / 352
        assert row.train_loss == result.loss
        logits = torch.from_numpy(engine.logits(few.validation.images)).double()
        labels = torch.from_numpy(few.validation.labels).long()
        assert row.validation_accuracy == int((logits.argmax(1) == labels).sum()) / 160
        loss = torch.nn.functional.cross_entropy(logits, labels).item()
        assert row.validation_loss == pytest.approx(loss, rel=1e-12)


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


def test_weights_that_overflow_in_evaluation_are_a_divergence(few, tmp_path):
    """The last step's loss was finite; what it did to the weights was not."""

    class Overflowing(TorchEngine):
        def logits(self, images):
            return np.full((len(images), 10), np.inf, np.float32)

    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    with pytest.raises(Divergence, match="the weights diverged in epoch 1; lower --learning-rate"):
        train_run(run, few, Overflowing(SMALL, initial_weights(SMALL.architecture, SEED)))
    assert sorted(os.listdir(run.path)) == ["environment.json", "recipe.json"]


def test_an_unwritable_folder_ends_the_training_with_a_user_error(few, tmp_path):
    run = Run.create(tmp_path / "run", SMALL, SEED, {})
    (run.path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be written"):
        train_run(run, few, fresh())
