"""The folded network computes what PyTorch does with BatchNorm in evaluation mode."""

import pytest
import torch
from torch.nn import functional as F

from tests.support.small_models import used_weights
from under20k.deploy.export.folded import folded
from under20k.engine.module import build
from under20k.recipe.architecture import Architecture


@pytest.mark.parametrize(
    "text", ["8,14pd0.05,16,20pd0.05,24v,28v|3v", "8vp,16,16p,32v,32v|l", "13u,13u,13sup,13su,16k1np,13vn|3"]
)
def test_the_logits_are_those_of_the_module(text):
    architecture = Architecture.parse(text)
    weights = used_weights(architecture)
    images = torch.randn(5, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network = build(architecture, {name: torch.from_numpy(value) for name, value in weights.items()}).double()
    with torch.no_grad():
        expected = network.logits(images)
    network = folded(architecture.graph, weights)
    x = images
    for conv in network.convolutions:
        if not conv.relu and network.pool_first:
            x = x.mean((2, 3), keepdim=True)
        assert x.shape[1:] == conv.input_shape
        x = F.conv2d(x, torch.from_numpy(conv.weight), torch.from_numpy(conv.bias), padding=conv.padding)
        assert x.shape[1:] == conv.map_shape
        x = F.relu(x) if conv.relu else x
        x = F.max_pool2d(x, 2) if conv.pool else x
        assert x.shape[1:] == conv.output_shape
    assert torch.allclose(x.mean((2, 3)), expected, rtol=1e-12, atol=1e-12)
