"""Every operation in ONNX computes what PyTorch does."""

import numpy as np
import onnxruntime
import pytest

from tests.support.own_graphs import GRAPHS, expected_logits, own_model
from under20k.data import Mnist
from under20k.deploy.export.onnx_graph import finished, for_uint8, logits_graph
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Node


def clashing() -> Graph:
    """A graph whose nodes have the names of constants and values that ONNX needs beside them."""
    names = iter(["mean", "0", "6", "1", "half", "sqrt_half", "sd", "calibrated", "temperature"])
    nodes: list[Node] = [op.Convolution("image.conv", (IMAGE,), 4, "weight", "bias", (5, 5), (4, 4))]
    for function in ("relu6", "gelu", "gelu_tanh", "hardswish", "silu", "elu", "tanh"):
        nodes.append(op.Activation(next(names), (nodes[-1].name,), function))
    nodes.append(op.Reshape(next(names), (nodes[-1].name,), (4 * 6 * 6,)))
    return Graph((*nodes, op.Linear(next(names), (nodes[-1].name,), 10, "out.weight", "out.bias")))


@pytest.mark.parametrize("name", [*GRAPHS, "clashing"])
def test_the_logits_are_pytorchs(name: str, mnist: Mnist) -> None:
    model = own_model(clashing() if name == "clashing" else GRAPHS[name])
    images = mnist.validation.images[:7]
    made = for_uint8(finished(logits_graph(model), model, None))
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        (found,) = session.run(["logits"], {"image": images[:batch, None]})
        expected = expected_logits(model, images[:batch])
        assert np.abs(found - expected).max() < 2e-6 * max(1, np.ptp(expected))
