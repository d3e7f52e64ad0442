"""Graphs of models against the models themselves: one step in float64, then evaluation."""

import copy
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.nn import functional as F

from tests.support.graphs import graph_weights, graphs
from tests.support.own_models import REFUSED, ZOO
from tests.support.students import RIGHT
from under20k.checking.convert.convert import convert
from under20k.checking.convert.reasons import NotConvertible
from under20k.checking.rules.input_form import run
from under20k.engine.graph_module import GraphModule
from under20k.engine.module_network import ModuleNetwork
from under20k.engine.torch_transforms import PlannedDropout
from under20k.recipe.graph import operations as op

IMAGES, SEED = 12, 9
WITHOUT = {
    "ghost BatchNorm of 2": "GhostNorm.forward uses Tensor.view across images",
    "ghost BatchNorm of 4": "GhostNorm.forward uses Tensor.view across images",
    "ghost BatchNorm of 8": "GhostNorm.forward uses Tensor.view across images",
    "up and down": "UpAndDown.forward uses nn.ConvTranspose2d",
}
"""Students' networks that have no graph, and why."""


def used(make) -> nn.Module:
    """A model whose statistics, scales and shifts are not those of a new one."""
    torch.manual_seed(SEED)
    model = make()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        run(model)  # lazy layers get their weights
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.add_(torch.rand_like(tensor) * 0.5)
            if name.endswith("num_batches_tracked"):
                tensor.zero_()
    return model


def step(network: ModuleNetwork | GraphModule, images: torch.Tensor, labels: torch.Tensor):
    """Loss, gradients and state after two passes in training mode, then the output at evaluation."""
    for part in network.modules():
        if isinstance(part, PlannedDropout | ModuleNetwork):
            part.set_batch(SEED, torch.arange(IMAGES, dtype=torch.int32))
    network.train()
    for number in range(2):
        network.step = number
        network.zero_grad()
        loss = F.cross_entropy(network.logits(images), labels)
        loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()
    with torch.no_grad():
        return loss, gradients, state, network(images)


def assert_same(module: nn.Module, graph) -> None:
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(IMAGES, 1, 28, 28, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (IMAGES,), generator=generator)
    layout = run(copy.deepcopy(module)).form.layout
    loss, gradients, state, output = step(
        ModuleNetwork(copy.deepcopy(module).double(), layout), images, labels
    )
    interpreter = GraphModule(graph).double()
    interpreter.load_state_dict({name: module.state_dict()[name] for name in graph.tensors()})
    found = step(interpreter, images, labels)
    assert found[0].item() == pytest.approx(loss.item(), rel=1e-9)
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert found[1].keys() & trained == gradients.keys() == graph.trained() & trained
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-9, atol=1e-12, msg=name)
    for name, value in found[2].items():
        torch.testing.assert_close(value, state[name], rtol=1e-9, atol=1e-12, msg=name)
    torch.testing.assert_close(found[3], output, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ZOO)
def test_a_graph_computes_what_its_model_does(name):
    model = used(ZOO[name])
    before = copy.deepcopy(model.state_dict())
    graph = convert(model)
    assert_same(model, graph)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", RIGHT)
def test_students_networks(name):
    """Those without a graph have three reasons between them."""
    model = used(RIGHT[name][0])
    if name in WITHOUT:
        with pytest.raises(NotConvertible) as reason:
            convert(model)
        assert str(reason.value).startswith(WITHOUT[name] + " (students.py:")
    else:
        assert_same(model, convert(model))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_the_reason_why_there_is_no_graph(name):
    make, reason = REFUSED[name]
    with pytest.raises(NotConvertible) as error:
        convert(make())
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_of_the_weights_are_no_constants():
    """Other weights of the model may hold others."""
    assert {"mean", "inverse_std", "size"} <= convert(ZOO["normalising"]()).tensors().keys()


@settings(deadline=None, max_examples=30)
@given(graphs(dropout=False))
def test_a_graph_as_a_module_has_that_graph(graph):
    """Up to names and reshapes, it is the one that it was made from."""
    module = GraphModule(graph)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in graph_weights(graph, 1).items()})
    assert_same(module, convert(module))


def test_names_are_those_of_the_layers():
    graph = convert(ZOO["blocks"]())
    names = [node.name for node in graph.nodes]
    assert names[:5] == ["convblock1.0", "convblock1.1", "convblock1.2", "convblock1.3", "convblock2.0"]
    assert names[-2:] == ["out.0.reshape", "log_softmax"]
    assert graph.nodes[0].inputs == ("image",)


def test_shared_weights_have_their_first_name_and_clashing_names_a_number():
    graph = convert(ZOO["tied"]())
    linear = [node for node in graph.nodes if isinstance(node, op.Linear)]
    assert [node.weight for node in linear] == ["inp.weight", "a.weight", "a.weight", "out.weight"]
    assert [node.bias for node in linear] == ["inp.bias", "a.bias", "b.bias", "out.bias"]
    graph = convert(ZOO["names that clash"]())
    assert [node.name for node in graph.nodes if node.op != "reshape"] == [
        *("image_2", "clamp", "relu", "relu_2", "reshape"),
    ]


def test_dropout_is_numbered_by_its_active_calls():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(784, 10)

        def forward(self, x):
            F.dropout(x, 0.5, self.training)  # the result is not used
            x = F.dropout(x.flatten(1), 0.5, training=False)
            x = F.dropout(x, 0.0, self.training)
            return self.fc(F.dropout(x, 0.25, self.training))

    graph = convert(Net())
    (node,) = [node for node in graph.nodes if isinstance(node, op.Dropout)]
    assert (node.stream, node.probability, node.channels) == (2, 0.25, False)
    assert_same(Net(), convert(Net()))


def test_a_graph_of_json_is_the_same():
    graph = convert(ZOO["depthwise"]())
    assert type(graph).from_list(graph.to_list()) == graph
    assert np.prod(list(graph.shapes().values())[-1]) == 10
