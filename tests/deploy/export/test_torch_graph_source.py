"""The source of a user's own model is a plain module that computes the same."""

import numpy as np
import pytest
import torch

from tests.support.own_graphs import GRAPHS, expected_logits, own_model
from under20k.data import Mnist
from under20k.deploy.export.formats import Material
from under20k.deploy.export.torch_graph_source import torch_graph_source
from under20k.deploy.export.torch_module import export, load_net
from under20k.engine.base import MEAN, STANDARD_DEVIATION

NOTHING = Material(None, np.zeros((0, 28, 28), np.uint8))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_module_computes_the_same(name, mnist: Mnist, tmp_path):
    model = own_model(GRAPHS[name])
    export(model, tmp_path, NOTHING)
    net = load_net(tmp_path).double()
    images = mnist.validation.images[:4]
    x = (torch.from_numpy(images[:, None]).double() / 255 - MEAN) / STANDARD_DEVIATION
    expected = expected_logits(model, images)
    with torch.no_grad():
        assert np.abs(net.logits(x).numpy() - expected).max() < 1e-12 * max(1, np.ptp(expected))
        assert torch.allclose(net(x).exp().sum(1), torch.ones(4, dtype=torch.float64))


def test_each_operation_is_a_line():
    source = torch_graph_source(own_model(GRAPHS["order of students"]).recipe.architecture)
    assert "        x = F.conv2d(x, self.c1_weight, None, padding=1)  " in source
    assert source.count("self.c1_weight") == 3  # made once, used twice
    assert "x = F.dropout(x, 0.05, self.training)" in source
    assert max(map(len, source.splitlines())) < 140
