"""Models that only PyTorch can train: their dropout by the plan's masks, other random numbers by its seed."""

import random
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.support.graphs import module_weights, own_model, own_recipe
from tests.support.own_models import REFUSED, ZOO
from under20k.checking.convert.convert import convert
from under20k.checking.rules.input_form import run
from under20k.data import Mnist
from under20k.engine.module_network import ModuleNetwork, classes_of, laid_out, seeded
from under20k.engine.torch_engine import TorchEngine
from under20k.errors import UserError
from under20k.recipe.plan import dropout_keep, epoch_plan

ONLY_TORCH = ("noise", "LayerNorm of columns", "LSTM", "attention")
MODELS = dict(ZOO) | {name: REFUSED[name][0] for name in ONLY_TORCH}


@dataclass
class Source:
    """Makes a module; a real one reads it from a file."""

    name: str
    layout: str = "maps"

    def load(self) -> nn.Module:
        return MODELS[self.name]()


def nobody(images_done: int) -> None: ...


def trained(
    mnist: Mnist, name: str, seed: int = 0, graph: bool = False, epochs: int = 1, dtype=torch.float64
):
    """The state and logits after an epoch of 40 images, by the module or by its graph."""
    torch.manual_seed(0)
    module = MODELS[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layout = run(module).form.layout
    for key, tensor in module.state_dict().items():
        if key.endswith("num_batches_tracked"):
            tensor.zero_()
    model = own_model(convert(module) if graph else None, module, layout)
    recipe = own_recipe(model, batch_size=16, learning_rate=0.02)
    source = None if graph else Source(name, layout)
    engine = TorchEngine(recipe, module_weights(module), dtype=dtype, source=source)
    images, labels = mnist.train.images[:40], mnist.train.labels[:40]
    for epoch in range(1, epochs + 1):
        result = engine.train_epoch(images, labels, epoch_plan(recipe, seed, epoch, 40), nobody)
    return {**engine.state(), "logits": engine.logits(images), "loss": np.array(result.loss)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        *(
            "plain net",
            "channel dropout",
            "dense",
            "recurrent",
            "tied",
            "rows",
            "flat input",
            "double softmax",
        ),
        *("cumulative BatchNorm", "on points", "two outputs", "self-normalised"),
    ],
)
def test_a_module_trains_as_its_graph(mnist: Mnist, name):
    """Masks, loss, statistics and momentum are the same; log-probabilities differ by a constant."""
    own, graph = (trained(mnist, name, graph=with_graph, epochs=2) for with_graph in (False, True))
    assert own.keys() == graph.keys()
    for key, value in graph.items():
        if key == "logits":
            value, own[key] = (v - v.mean(axis=1, keepdims=True) for v in (value, own[key]))
        assert own[key] == pytest.approx(value, rel=2e-6, abs=2e-6 if key == "logits" else 2e-7), key


@pytest.mark.parametrize("name", [*ONLY_TORCH, "dropout always"])
def test_the_same_seed_gives_the_same_bits_whatever_else_draws_random_numbers(mnist: Mnist, name):
    first = trained(mnist, name, seed=3, dtype=torch.float32)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    again = trained(mnist, name, seed=3, dtype=torch.float32)
    assert all(np.array_equal(value, again[key]) for key, value in first.items())
    other = trained(mnist, name, seed=4, dtype=torch.float32)
    assert not np.array_equal(first["logits"], other["logits"])


class Dropping(nn.Module):
    """Every way of calling dropout; the output is what is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.channels = nn.Dropout(0.3), nn.Dropout2d(0.6)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.ones(len(x), 10, 4, 5)
        places = torch.zeros_like(x)
        self.seen = [
            self.layer(x),
            self.channels(x),
            F.dropout(x, 0.2, training=False),
            F.dropout(x, training=self.training),
            torch.dropout(x, 0.7, self.training),
            F.dropout(x.clone(), 0.1, self.training, True),
            F.dropout2d(x.flatten(2), p=0.4, training=self.training).view_as(x),
            torch.dropout_(x.clone(), 0.25, self.training),
        ]
        return (places + x)[:, :, 0, 0]


@pytest.mark.filterwarnings("ignore:dropout2d")  # of (N, C, L)
def test_masks_are_the_plans_in_the_order_of_active_calls():
    module = Dropping()
    network = ModuleNetwork(module).train()
    positions = np.array([3, 70, 800])
    network.set_batch(99, torch.from_numpy(positions).int())
    network.logits(torch.zeros(3, 1, 28, 28))
    rates = [
        (0.3, False),
        (0.6, True),
        None,
        (0.5, False),
        (0.7, False),
        (0.1, False),
        (0.4, True),
        (0.25, False),
    ]
    call = 0
    for rate, seen in zip(rates, module.seen, strict=True):
        if rate is None:
            assert bool((seen == 1).all())
            continue
        probability, channels = rate
        keep = dropout_keep(99, call, positions, 10 if channels else 200, probability)
        keep = keep.reshape((3, 10, 1, 1) if channels else (3, 10, 4, 5))
        expected = np.broadcast_to(keep / (1 - probability), (3, 10, 4, 5))
        assert seen.numpy() == pytest.approx(expected, rel=1e-6), call
        call += 1
    network.eval()
    network.logits(torch.zeros(3, 1, 28, 28))
    assert all(bool((seen == 1).all()) for seen in module.seen)


ALWAYS = {
    "alpha": lambda x: F.alpha_dropout(x, 0.5, training=True),
    "alpha of features": lambda x: F.feature_alpha_dropout(x, 0.5, True),
    "alpha of torch": lambda x: torch.alpha_dropout(x, 0.5, train=True),
    "alpha in place": lambda x: F.alpha_dropout(x.clone(), 0.5, True, inplace=True),
    "fresh layer": lambda x: nn.AlphaDropout(0.5)(x),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    "attention by position": lambda x: F.scaled_dot_product_attention(x, x, x, None, 0.5),
}


class Always(nn.Module):
    """Its dropout does not ask whether it is in training."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x.reshape(len(x), 10, 1, 4)).mean((2, 3))


@pytest.mark.parametrize("name", ALWAYS)
def test_dropout_of_other_kinds_that_stays_on_is_off_at_evaluation(name):
    network = ModuleNetwork(Always(ALWAYS[name]))
    x = torch.rand(64, 1, 5, 8)
    network.set_batch(4, torch.arange(64, dtype=torch.int32))
    trained = network.train().logits(x)
    assert torch.equal(trained, network.logits(x))
    expected = x.reshape(64, 10, 1, 4).mean((2, 3))  # attention of one place to itself
    assert not torch.allclose(trained, expected)
    torch.testing.assert_close(network.eval().logits(x), expected)


def test_alpha_dropout_is_idle_unless_it_is_told_to_train():
    network = ModuleNetwork(Always(F.alpha_dropout)).train()
    x = torch.rand(2, 1, 5, 8)
    network.set_batch(4, torch.arange(2, dtype=torch.int32))
    assert torch.equal(network.logits(x), x.reshape(2, 10, 1, 4).mean((2, 3)))


def test_gradients_pass_through_a_dropout_in_place():
    x = torch.ones(2, 3, requires_grad=True)
    network = ModuleNetwork(nn.Sequential(nn.Flatten(), nn.Identity())).train()
    network.set_batch(4, torch.arange(2, dtype=torch.int32))
    from under20k.engine.module_network import PlannedMasks

    with PlannedMasks(4, torch.arange(2, dtype=torch.int32), training=True):
        y = F.dropout(x * 1, 0.5, True, inplace=True)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert set(y.flatten().tolist()) <= {0.0, 2.0}


def test_seeds_are_for_the_body_alone():
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    with seeded(7):
        inside = torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
    found = torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
    assert torch.equal(found[0], expected[0])
    assert found[1:] == expected[1:]
    assert inside[1:] != expected[1:]


def test_layouts_and_outputs():
    images = torch.arange(2 * 784.0).view(2, 1, 28, 28)
    assert laid_out(images, "maps") is images
    assert laid_out(images, "flat").shape == (2, 784)
    assert laid_out(images, "rows").shape == (2, 28, 28)
    assert laid_out(images, "channels last").shape == (2, 28, 28, 1)
    features, logits = torch.rand(2, 30), torch.rand(2, 10)
    assert classes_of((features, {"out": logits}), 2) is logits or torch.equal(
        classes_of((features, [logits]), 2), logits
    )
    assert classes_of(logits.view(2, 10, 1, 1), 2).shape == (2, 10)
    with pytest.raises(ValueError, match=r"no tensor of shape \(2, 10\)"):
        classes_of(features, 2)


def test_a_model_without_graph_and_source_is_refused():
    model = own_model(None, MODELS["LayerNorm of columns"]())
    with pytest.raises(UserError, match=r"Odd has no graph \(Net.forward uses torch.fft.fft2\)"):
        TorchEngine(own_recipe(model), module_weights(MODELS["LayerNorm of columns"]()))


class Failing(nn.Module):
    """It fails in the forward or in the backward pass."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.fc, self.where = nn.Linear(784, 10), where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.sigmoid(self.fc(x.flatten(1)))
        if self.where == "forward":
            raise RuntimeError("no more\nof this")
        x += 1  # the gradient of the sigmoid needs what was there
        return x


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "forward",
            r"^Failing fails in training: RuntimeError: no more of this \(test_module_network.py:\d+\)$",
        ),
        ("backward", r"^Failing fails in training: RuntimeError: one of the variables needed .* inplace"),
    ],
)
def test_an_error_in_a_models_code_is_one_line(mnist: Mnist, where, message):
    model = own_model(None, Failing(where))
    recipe = own_recipe(model, batch_size=16)

    class FailingSource(Source):
        def load(self):
            return Failing(where)

    engine = TorchEngine(recipe, module_weights(Failing(where)), source=FailingSource(""))
    with pytest.raises(UserError, match=message):
        engine.train_epoch(
            mnist.train.images[:32], mnist.train.labels[:32], epoch_plan(recipe, 0, 1, 32), nobody
        )


class HalfFrozen(nn.Module):
    """Trains its head alone."""

    layout = "maps"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=3).requires_grad_(False)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.first(x).relu().mean((2, 3)))

    def load(self) -> nn.Module:
        """Return the model, as a source does."""
        return HalfFrozen()


def test_a_model_with_frozen_layers_goes_on_from_its_state(mnist: Mnist):
    module = HalfFrozen()
    model = replace(own_model(None, module), trained_names=frozenset({"head.weight", "head.bias"}))
    recipe = own_recipe(model, batch_size=16, learning_rate=0.02)
    weights = module_weights(module)
    images, labels = mnist.train.images[:40], mnist.train.labels[:40]
    whole, resumed = (TorchEngine(recipe, weights, source=module) for _ in range(2))
    whole.train_epoch(images, labels, epoch_plan(recipe, 0, 1, 40), nobody)
    assert (whole.weights()["first.weight"] == weights["first.weight"]).all()
    resumed.load_state(whole.state())
    for engine in (whole, resumed):
        engine.train_epoch(images, labels, epoch_plan(recipe, 0, 2, 40), nobody)
    assert whole.state().keys() == resumed.state().keys()
    assert all((value == resumed.state()[name]).all() for name, value in whole.state().items())
