"""The reference engine against PyTorch as anyone would write it (``plain_torch``), in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.plain_torch import PlainTraining
from tests.support.strategies import architectures, distillations, teachers_of
from under20k.data import Mnist
from under20k.engine.base import Divergence, average_decay, state_tensors
from under20k.engine.module import build
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import InvalidValue
from under20k.recipe.named import REGULARIZED
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Augmentation, Recipe, Schedule
from under20k.recipe.weights import initial_weights

# Batch size and number of images: one image, a short last batch, one batch that is not full.
BATCHES = [(1, 12), (7, 30), (129, 150), (129, 100)]


TEACHERS = architectures(max_blocks=3, max_channels=4).map(lambda drawn: Recipe("teacher", drawn))


@st.composite
def trainings(draw: st.DrawFn) -> tuple[Recipe, int]:
    """Small recipes that use every setting, and a number of images."""
    batch_size, images = draw(st.sampled_from(BATCHES))
    momentum = draw(st.sampled_from([0.0, 0.5, 0.9]))
    recipe = Recipe(
        name="drawn",
        architecture=draw(architectures(max_blocks=4, max_channels=4)),
        epochs=2,
        batch_size=batch_size,
        learning_rate=draw(st.sampled_from([0.001, 0.02])),
        momentum=momentum,
        nesterov=momentum > 0 and draw(st.booleans()),
        weight_decay=draw(st.sampled_from([0.0, 1e-4, 0.1])),
        decay_all=draw(st.booleans()),
        label_smoothing=draw(st.sampled_from([0.0, 0.1])),
        average_decay=draw(st.sampled_from([0.0, 0.3, 0.99])),
        schedule=Schedule(draw(st.sampled_from(["step", "one-cycle"])), step_epochs=1),
        augmentation=Augmentation(
            rotation_deg=draw(st.sampled_from([0, 15])),
            scale=draw(st.sampled_from([0, 0.2])),
            interpolation=draw(st.sampled_from(["nearest", "bilinear"])),
            elastic_px=draw(st.sampled_from([0, 2])),
            stroke_px=draw(st.sampled_from([0, 3])),
            low_resolution=draw(st.sampled_from([0, 0.5])),
            bitmap=draw(st.sampled_from([0, 0.5])),
            fade_epochs=draw(st.integers(0, 2)),
        ),
        distillation=draw(st.none() | distillations(TEACHERS, most=3)),
    )
    return recipe, images


def nobody(images_done: int) -> None: ...


def close(found: Any, expected: Any) -> bool:
    """Equal but for the engine's rounding to float32 at the end."""
    return bool(np.allclose(found, expected, rtol=2e-7, atol=1e-9))


@settings(deadline=None, max_examples=20)
@given(trainings(), st.integers(0, 2**32 - 1), st.booleans())
def test_two_epochs_against_plain_pytorch(mnist: Mnist, training, seed, noise):
    recipe, count = training
    images, labels = mnist.train.images[:count], mnist.train.labels[:count]
    if noise:
        labels = np.random.default_rng(seed).permutation(labels)
    weights = initial_weights(recipe.architecture, seed)
    teachers = teachers_of(recipe)
    plain = PlainTraining(recipe, weights, teachers)
    engine = TorchEngine(recipe, weights, dtype=torch.float64)
    engine.learn_from(teachers)
    for epoch in (1, 2):
        try:
            plan = epoch_plan(recipe, seed, epoch, count)
        except InvalidValue:
            assume(False)
        result = engine.train_epoch(images, labels, plan, nobody)
        plain.train_epoch(images, labels, plan)
        assert result.loss == pytest.approx(plain.loss, rel=1e-9)
        assert result.correct == plain.correct
    state, expected = engine.state(), plain.state()
    assert state.keys() == expected.keys() == state_tensors(recipe).keys()
    assert [name for name in expected if not close(state[name], expected[name])] == []
    assert close(engine.logits(images), plain.logits(images))


def test_the_assignments_recipes_against_plain_pytorch(mnist: Mnist):
    """An epoch of the regularized recipe over 400 images: three whole batches and a short one."""
    images, labels = mnist.train.images[:400], mnist.train.labels[:400]
    weights = initial_weights(REGULARIZED.architecture, 0)
    plain = PlainTraining(REGULARIZED, weights)
    engine = TorchEngine(REGULARIZED, weights, dtype=torch.float64)
    plan = epoch_plan(REGULARIZED, 0, 1, 400)
    result = engine.train_epoch(images, labels, plan, nobody)
    plain.train_epoch(images, labels, plan)
    assert result.loss == pytest.approx(plain.loss, rel=1e-9)
    assert result.correct == plain.correct
    expected = plain.state()
    assert [name for name, value in engine.state().items() if not close(value, expected[name])] == []


def test_float32_stays_near_float64(mnist: Mnist):
    """In one step; over many the differences grow, as they do with any reordering of a sum.

    A layout in which PyTorch's BatchNorm sums in plain float32 would be off by 4e-2, not 4e-4.
    """
    images, labels = mnist.train.images[:128], mnist.train.labels[:128]
    weights = initial_weights(REGULARIZED.architecture, 0)
    plan = epoch_plan(REGULARIZED, 0, 1, 128)
    single, double = (
        TorchEngine(REGULARIZED, weights, dtype=dtype) for dtype in (torch.float32, torch.float64)
    )
    losses = [engine.train_epoch(images, labels, plan, nobody).loss for engine in (single, double)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    rough, exact = single.state(), double.state()
    kernels = [name for name in exact if name.startswith("momentum.") and name.endswith("conv.weight")]
    errors = [np.linalg.norm(rough[k] - exact[k]) / np.linalg.norm(exact[k]) for k in kernels]
    assert max(errors) < 2e-3
    assert len(errors) == 7


def test_averages_rise_to_their_decay():
    recipe = REGULARIZED.with_changes(average_decay=0.9)
    decays = [average_decay(recipe, step) for step in (0, 1, 10, 80, 1000)]
    assert decays == pytest.approx([1 / 10, 2 / 11, 11 / 20, 0.9, 0.9])


def test_logits_of_many_images_are_those_of_each(mnist: Mnist):
    """More images than one evaluation batch, in evaluation mode, whatever was done before."""
    recipe = REGULARIZED.with_changes(architecture="4p,4pd0.5|3")
    engine = TorchEngine(recipe, initial_weights(recipe.architecture, 0), dtype=torch.float64)
    engine.network.train()
    logits = engine.logits(mnist.validation.images[:2100])
    assert logits.shape == (2100, 10)
    assert logits.dtype == np.float32
    for first in (0, 999, 1000, 2099):
        assert close(engine.logits(mnist.validation.images[first : first + 1])[0], logits[first])


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_shipped_weights_give_the_engines_logits_in_plain_pytorch(mnist: Mnist, average: float):
    recipe = REGULARIZED.with_changes(average_decay=average)
    images, labels = mnist.train.images[:300], mnist.train.labels[:300]
    engine = TorchEngine(recipe, initial_weights(recipe.architecture, 1))
    engine.train_epoch(images, labels, epoch_plan(recipe, 1, 1, 300), nobody)
    network = build(recipe.architecture, {name: torch.tensor(v) for name, v in engine.weights().items()})
    x = (torch.tensor(images)[:, None] / 255 - 0.1307) / 0.3081
    with torch.no_grad():
        assert np.abs(network.logits(x).numpy() - engine.logits(images)).max() < 1e-4


def test_a_loss_that_is_not_finite_names_its_step(mnist: Mnist):
    """Which step it is, plain PyTorch says."""
    recipe = REGULARIZED.with_changes(
        architecture="2np|l", learning_rate=100, weight_decay=1, batch_size=1, schedule="constant"
    )
    images, labels = mnist.train.images[:300], mnist.train.labels[:300]
    weights = initial_weights(recipe.architecture, 0)
    plain, plan = PlainTraining(recipe, weights), epoch_plan(recipe, 0, 3, 300)
    plain.train_epoch(images, labels, plan)
    first = int(np.flatnonzero(~np.isfinite(plain.losses))[0])
    assert first > 0
    done: list[int] = []
    with pytest.raises(Divergence) as divergence:
        TorchEngine(recipe, weights, dtype=torch.float64).train_epoch(images, labels, plan, done.append)
    assert f"at step {first + 1} of 300 in epoch 3" in str(divergence.value)
    assert "learning rate is 100" in str(divergence.value)
    assert done == list(range(10, first + 1, 10))
