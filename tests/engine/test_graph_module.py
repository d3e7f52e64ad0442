"""A graph as a module: the networks of the line of text both ways, and what else a graph can have."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.support.graphs import graph_weights, own_model, own_recipe
from tests.support.strategies import architectures
from under20k.data import Mnist
from under20k.engine.base import state_tensors
from under20k.engine.graph_module import GraphModule
from under20k.engine.torch_engine import TorchEngine
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import Graph
from under20k.recipe.named import MINIMAL
from under20k.recipe.plan import dropout_keep, epoch_plan
from under20k.recipe.weights import initial_weights


def nobody(images_done: int) -> None: ...


def head(source: str, channels: int) -> list:
    """Ten logits by a 1×1 convolution and an average."""
    return [
        op.Convolution("head", (source,), 10, "head.weight", kernel=(1, 1)),
        op.AdaptivePool("gap", ("head",), "average"),
        op.Reshape("flat", ("gap",), (10,)),
    ]


@settings(deadline=None, max_examples=20)
@given(architectures(max_blocks=4, max_channels=4), st.integers(0, 2**31))
def test_a_network_of_the_line_of_text_trains_as_its_graph(mnist: Mnist, architecture, seed):
    """In float64, by the same plan; the weights have the same names."""
    text = MINIMAL.with_changes(architecture=architecture, batch_size=16, average_decay=0.5)
    graph = own_recipe(own_model(architecture.graph), batch_size=16, average_decay=0.5)
    images, labels = mnist.train.images[:40], mnist.train.labels[:40]
    weights = initial_weights(architecture, seed)
    states = []
    for recipe in (text, graph):
        engine = TorchEngine(recipe, weights, dtype=torch.float64)
        result = engine.train_epoch(images, labels, epoch_plan(recipe, seed, 1, 40), nobody)
        states.append({**engine.state(), "logits": engine.logits(images), "loss": np.array(result.loss)})
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert states[1][name] == pytest.approx(value, rel=2e-7, abs=1e-9), name


def test_logits_stop_before_a_log_softmax_alone():
    nodes = head("image", 1)
    images = torch.randn(3, 1, 28, 28)
    outputs = {}
    for end in (None, op.LogSoftmax, op.Softmax):
        graph = Graph((*nodes, end("end", ("flat",))) if end else tuple(nodes))
        module = GraphModule(graph)
        module.load_state_dict({"head.weight": torch.arange(10.0).view(10, 1, 1, 1)})
        outputs[end] = module.logits(images), module(images)
    logits = outputs[None][0]
    assert torch.equal(outputs[None][1], logits)
    assert torch.equal(outputs[op.LogSoftmax][0], logits)
    assert torch.equal(outputs[op.LogSoftmax][1], F.log_softmax(logits, 1))
    assert torch.equal(outputs[op.Softmax][0], F.softmax(logits, 1))


@pytest.mark.parametrize("channels", [False, True])
def test_dropout_has_the_plans_mask_of_its_stream(channels):
    graph = Graph(
        (
            op.Convolution("conv", ("image",), 6, "conv.weight", kernel=(5, 5), stride=(4, 4)),
            op.Dropout("drop", ("conv",), 0.4, channels, stream=5),
            *head("drop", 6),
        )
    )
    module = GraphModule(graph).train()
    positions = np.array([7, 1000, 49_999])
    module.get_submodule("planned dropout.0").set_batch(1234, torch.from_numpy(positions).int())
    images = torch.ones(3, 1, 28, 28)
    with torch.no_grad():
        module.state_dict()["conv.weight"].fill_(1)
        dropped = module._values(images)["drop"].numpy()
    kept = dropout_keep(1234, 5, positions, 6 if channels else 6 * 36, 0.4)
    kept = kept.reshape((3, 6, 1, 1) if channels else (3, 6, 6, 6))
    assert np.array_equal(dropped != 0, np.broadcast_to(kept, dropped.shape))
    assert dropped.max() == pytest.approx(25 / 0.6)


def test_a_cumulative_average_is_that_of_all_batches(mnist: Mnist):
    """Of two epochs of three batches, the last one shorter; also where the second epoch is resumed."""
    graph = Graph(
        (
            op.BatchNorm(
                "norm", ("image",), None, None, "norm.running_mean", "norm.running_var", momentum=None
            ),
            op.Convolution("conv", ("norm",), 1, "conv.weight", kernel=(1, 1)),
            op.BatchNorm(
                "again", ("conv",), None, None, "norm.running_mean", "norm.running_var", momentum=None
            ),
            *head("again", 1),
        )
    )
    recipe = own_recipe(own_model(graph), batch_size=16, learning_rate=0)
    weights = graph_weights(graph, 0)
    images, labels = mnist.train.images[:40], mnist.train.labels[:40]
    plans = [epoch_plan(recipe, 0, epoch, 40) for epoch in (1, 2)]
    engine = TorchEngine(recipe, weights, dtype=torch.float64)
    engine.train_epoch(images, labels, plans[0], nobody)
    resumed = TorchEngine(recipe, weights, dtype=torch.float64)
    resumed.load_state(engine.state())
    means = []
    for plan in plans:
        x = (images[plan.order] / 255 - 0.1307) / 0.3081
        for start in (0, 16, 32):
            mean = x[start : start + 16].mean()
            means += [mean, float(weights["conv.weight"].item()) * 0]  # normalised maps have the mean 0
    for trained in (engine, resumed):
        trained.train_epoch(images, labels, plans[1], nobody)
        assert trained.weights()["norm.running_mean"].item() == pytest.approx(np.mean(means), rel=1e-5)


def test_tensors_that_the_graph_does_not_use_stay_as_they_are(mnist: Mnist):
    graph = Graph(tuple(head("image", 1)))
    model = own_model(graph)
    shapes = (*model.tensor_shapes, ("unused.weight", (3, 2)), ("scale", ()))
    model = type(model)(
        **{
            **model.__dict__,
            "tensor_shapes": shapes,
            "trained_names": frozenset({"head.weight", "unused.weight"}),
        }
    )
    recipe = own_recipe(model, batch_size=8, average_decay=0.9)
    weights = graph_weights(graph, 0)
    weights |= {"unused.weight": np.ones((3, 2), np.float32), "scale": np.array(2, np.float32)}
    engine = TorchEngine(recipe, weights)
    images, labels = mnist.train.images[:20], mnist.train.labels[:20]
    engine.train_epoch(images, labels, epoch_plan(recipe, 0, 1, 20), nobody)
    trained = engine.weights()
    assert {name for name in weights if np.array_equal(trained[name], weights[name])} == {
        "unused.weight",
        "scale",
    }
    state = engine.state()
    assert {name: value.shape for name, value in state.items()} == state_tensors(recipe)
    assert not state["momentum.unused.weight"].any()


def test_weight_decay_exempts_what_has_one_axis():
    graph = Graph(
        (
            op.Reshape("rows", ("image",), (784,)),
            op.Linear("fc", ("rows",), 10, "fc.weight", "fc.bias"),
        )
    )
    recipe = own_recipe(own_model(graph), decay_all=False, weight_decay=0.1)
    engine = TorchEngine(recipe, graph_weights(graph, 0))
    decays = {
        id(p): group["weight_decay"] for group in engine.optimiser.param_groups for p in group["params"]
    }
    assert {name: decays[id(p)] for name, p in engine.parameters.items()} == {
        "fc.weight": 0.1,
        "fc.bias": 0.0,
    }
