"""1/√x in a network that the native engine trains, whatever the size of its numbers."""

import numpy as np
import pytest
import torch

from tests.support.graphs import own_model, own_recipe
from under20k.engine.native_engine import NativeEngine
from under20k.engine.torch_engine import TorchEngine
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.plan import epoch_plan

RATE = 1e-3


def graph_of(factor: float) -> Graph:
    """Ten features above 0, scaled, and their reciprocal roots, made as large as 1 again."""
    return Graph(
        (
            op.AdaptivePool("small", (IMAGE,), kind="average", size=(2, 2)),
            op.Reshape("row", ("small",), shape=(4,)),
            op.Linear("linear", ("row",), features=10, weight="weight", bias="bias"),
            op.Activation("above", ("linear",), function="sigmoid"),
            op.Scale("size", ("above",), factor=factor),
            op.Activation("root", ("size",), function="rsqrt"),
            op.Scale("out", ("root",), factor=factor**0.5),
        )
    )


@pytest.mark.parametrize("exponent", [-5, -2, 0, 3, 7])
def test_it_and_its_gradient_are_pytorchs(exponent):
    graph = graph_of(10.0**exponent)
    recipe = own_recipe(own_model(graph), batch_size=20, learning_rate=RATE)
    generator = np.random.default_rng(2)
    weights = {
        name: generator.normal(size=shape).astype(np.float32) for name, shape in graph.tensors().items()
    }
    images = generator.integers(256, size=(20, 28, 28), dtype=np.uint8)
    labels = generator.integers(10, size=20, dtype=np.uint8)
    states = []
    for engine in (NativeEngine(recipe, weights, 1), TorchEngine(recipe, weights, dtype=torch.float64)):
        engine.train_epoch(images, labels, epoch_plan(recipe, 0, 1, 20), lambda done: None)
        states.append({**engine.state(), "logits": engine.logits(images)})
    for name, expected in states[1].items():
        np.testing.assert_allclose(states[0][name], expected, rtol=2e-5, atol=2e-6, err_msg=name)
