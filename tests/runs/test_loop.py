"""The training loop on a few hundred real images."""

import numpy as np
import pytest
import torch

from tests.support.small_training import SEED, SMALL, fresh, untimed
from under20k.recipe.limits import DRAWN_IMAGES
from under20k.recipe.plan import epoch_plan
from under20k.runs.loop import train_epochs


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


def test_drawn_digits_follow_mnists_and_depend_on_the_seed(few, monkeypatch):
    """The same epoch by hand, on digits that are noise: a stand-in whose seed shows."""
    calls = []

    def drawn_digits(count, seed):
        calls.append((count, seed))
        generator = np.random.default_rng(seed)
        return generator.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10

    monkeypatch.setattr("under20k.runs.loop.drawn_digits", drawn_digits)
    recipe = SMALL.with_changes(drawn_share=0.25, stroke_px=1.0)
    one, other = fresh(recipe), fresh(recipe)
    metrics = next(train_epochs(recipe, SEED, few, one))
    digits = drawn_digits(DRAWN_IMAGES, SEED)
    assert calls == [(DRAWN_IMAGES, SEED)] * 2
    images, labels = (
        np.concatenate(pair) for pair in zip((few.train.images, few.train.labels), digits, strict=True)
    )
    plan = epoch_plan(recipe, SEED, 1, 352, DRAWN_IMAGES)
    result = other.train_epoch(images, labels, plan, lambda done: None)
    assert metrics.train_accuracy == result.correct / 352
    assert metrics.train_loss == result.loss
    assert all(np.array_equal(value, other.weights()[name]) for name, value in one.weights().items())


def test_metrics_are_counted_over_whole_splits(few):
    """The same three epochs by hand."""
    metrics = list(train_epochs(SMALL, SEED, few, fresh()))
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
