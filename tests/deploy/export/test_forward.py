"""The layers in NumPy are PyTorch's."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.support.small_models import ARCHITECTURES, model_of
from under20k.deploy.export.folded import folded
from under20k.deploy.export.forward import averaged_last, channels_last, convolved, feature_maps, pooled

rng = np.random.default_rng(1)


@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (3, 0), (3, 1)])
def test_a_convolution(kernel, padding):
    maps, weight = rng.normal(size=(4, 5, 7, 7)), rng.normal(size=(6, 5, kernel, kernel))
    bias = rng.normal(size=6)
    expected = F.conv2d(*map(torch.from_numpy, (maps, weight, bias)), padding=padding).numpy()
    found = convolved(maps.transpose(0, 2, 3, 1), channels_last(weight), bias, padding)
    assert np.allclose(found.transpose(0, 3, 1, 2), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", [2, 6, 7])
def test_max_pooling_drops_an_odd_row(side):
    maps = rng.normal(size=(2, 3, side, side))
    expected = F.max_pool2d(torch.from_numpy(maps), 2).numpy()
    assert np.array_equal(pooled(maps.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), expected)


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_the_average_after_the_head_gives_the_engines_logits(text, mnist):
    model, images = model_of(text), mnist.validation.images[:20]
    network = folded(model.recipe.architecture.graph, model.weights)
    *_, maps = feature_maps(network, images)
    head = averaged_last(network)[-1]
    found = convolved(maps, channels_last(head.weight), head.bias, head.padding)
    assert found.shape[1:] == (*head.output_shape[1:], 10)
    assert np.allclose(found.mean((1, 2)), model.logits(images), rtol=1e-4, atol=1e-4)
