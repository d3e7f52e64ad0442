"""What an engine hands out and takes in: states, arrays, threads, exceptions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from under20k.data import Mnist
from under20k.engine.base import state_tensors
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.recipe.named import MINIMAL
from under20k.recipe.plan import epoch_plan
from under20k.recipe.recipe import Recipe
from under20k.recipe.weights import initial_weights

SMALL = MINIMAL.with_changes(architecture="8,12pd0.1,14p,16v|3v", batch_size=32, rotation_deg=10)
COUNT = 200
VARIANTS = [
    {},
    {"momentum": 0.0},
    {"nesterov": True, "decay_all": False},
    {"average_decay": 0.9},
    {"momentum": 0.0, "average_decay": 0.9},
]


def nobody(images_done: int) -> None: ...


def fresh(recipe: Recipe, **options: Any) -> TorchEngine:
    return TorchEngine(recipe, initial_weights(recipe.architecture, 0), **options)


def train(engine: TorchEngine, mnist: Mnist, *epochs: int, count: int = COUNT) -> TorchEngine:
    for epoch in epochs:
        plan = epoch_plan(engine.recipe, 0, epoch, count)
        engine.train_epoch(mnist.train.images[:count], mnist.train.labels[:count], plan, nobody)
    return engine


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Names of the tensors that are not the same bits, or not in both."""
    return [
        name
        for name in sorted(first.keys() | second.keys())
        if name not in first or name not in second or first[name].tobytes() != second[name].tobytes()
    ]


@pytest.mark.parametrize("changes", VARIANTS)
def test_resuming_from_a_state_gives_the_same_bits(mnist, changes):
    recipe = SMALL.with_changes(**changes)
    straight = train(fresh(recipe), mnist, 1)
    kept = straight.state()
    before = {name: value.copy() for name, value in kept.items()}
    resumed = fresh(recipe)
    resumed.load_state(kept)
    assert differing(resumed.state(), kept) == []
    assert resumed.logits(mnist.validation.images[:50]).tobytes() == (
        straight.logits(mnist.validation.images[:50]).tobytes()
    )
    train(straight, mnist, 2)
    train(resumed, mnist, 2)
    assert differing(resumed.state(), straight.state()) == []
    # What was handed out is the caller's: neither engine has written to it.
    assert differing(kept, before) == []


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_state_before_training(mnist, changes):
    recipe = SMALL.with_changes(**changes)
    engine = fresh(recipe)
    state = engine.state()
    assert {name: value.shape for name, value in state.items()} == state_tensors(recipe)
    assert {value.dtype for value in state.values()} == {np.dtype(np.float32)}
    assert not any(value.any() for name, value in state.items() if name.startswith("momentum."))
    loaded = fresh(recipe)
    loaded.load_state(state)
    assert differing(train(loaded, mnist, 1).state(), train(engine, mnist, 1).state()) == []


def test_initial_weights_are_not_modified(mnist):
    weights = initial_weights(SMALL.architecture, 0)
    train(TorchEngine(SMALL, weights), mnist, 1)
    assert differing(weights, initial_weights(SMALL.architecture, 0)) == []


@pytest.mark.parametrize(
    ("changes", "name", "value", "words"),
    [
        ({}, "momentum.blocks.0.conv.weight", None, "momentum.blocks.0.conv.weight is missing"),
        ({"average_decay": 0.5}, "average.head.conv.bias", None, "average.head.conv.bias is missing"),
        ({"momentum": 0.0}, "momentum.head.conv.bias", np.zeros(10, np.float32), "is unknown"),
        ({}, "head.conv.bias", np.zeros(9, np.float32), r"float32 (9,), not float32 (10,)"),
        ({}, "momentum.head.conv.bias", np.full(10, np.nan, np.float32), "not finite"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(changes, name, value, words):
    recipe = SMALL.with_changes(**changes)
    engine = fresh(recipe)
    state = {key: array + 1 for key, array in engine.state().items()} | {name: value}
    with pytest.raises(UserError, match="the state does not fit") as refusal:
        engine.load_state({key: array for key, array in state.items() if array is not None})
    assert words in str(refusal.value)
    assert differing(engine.weights(), initial_weights(recipe.architecture, 0)) == []


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(UserError, match="do not fit the architecture"):
        TorchEngine(SMALL, initial_weights(MINIMAL.architecture, 0))


def test_read_only_arrays_are_accepted(mnist):
    """As from a memory map; warnings would fail the test."""
    images, labels = mnist.train.images[:COUNT].copy(), mnist.train.labels[:COUNT].copy()
    weights = initial_weights(SMALL.architecture, 0)
    plan = epoch_plan(SMALL, 0, 1, COUNT)
    expected = train(fresh(SMALL), mnist, 1)
    for array in (images, labels, plan.order, plan.matrices, *weights.values()):
        array.setflags(write=False)
    engine = TorchEngine(SMALL, weights)
    engine.train_epoch(images, labels, plan, nobody)
    assert differing(engine.state(), expected.state()) == []
    state = engine.state()
    for array in state.values():
        array.setflags(write=False)
    engine.load_state(state)
    assert engine.logits(images).tobytes() == expected.logits(images).tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_threads_give_the_same_bits(mnist, threads):
    torch.set_num_threads(threads)
    first, second = (train(fresh(SMALL), mnist, 1, count=80).state() for _ in range(2))
    assert differing(first, second) == []


def test_other_thread_counts_agree_within_rounding(mnist):
    """PyTorch cuts the sums of weight and bias gradients by thread, which reorders them.

    So in float64, where rounding stays small, an epoch agrees to float32's last place.
    """
    states = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        states.append(train(fresh(SMALL, dtype=torch.float64), mnist, 1, count=80).state())
    for name, value in states[0].items():
        assert np.allclose(value, states[1][name], rtol=2e-7, atol=1e-9), name


def test_progress_is_reported_and_exceptions_of_the_callback_propagate(mnist):
    images, labels, plan = mnist.train.images[:330], mnist.train.labels[:330], epoch_plan(SMALL, 0, 1, 330)
    told: list[int] = []
    fresh(SMALL).train_epoch(images, labels, plan, told.append)
    assert told == [320, 330]

    def stop(images_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fresh(SMALL).train_epoch(images, labels, plan, stop)
