"""The initial weights of PyTorch's layers, drawn by NumPy, against PyTorch itself."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.own_models import ZOO
from under20k.checking.convert.describe import describe
from under20k.checking.convert.seeded import seeded
from under20k.recipe.default_weights import default_weights

DRAWN = ("plain net", "blocks", "norm first", "dense", "depthwise", "perceptron", "vgg of PReLU", "on points")
NOT_DRAWN = {
    "residual": "kaiming_normal_ in its constructor",
    "average pools": "a lazy layer, which draws when it first runs",
}


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("name", DRAWN)
def test_they_are_those_of_a_constructor_of_layers_alone(name: str, seed: int):
    described = describe(seeded(seed, ZOO[name]), "Net")
    expected = described.tensors.values
    either = [default_weights(described.model, seed, fused=fused) for fused in (True, False)]
    assert any(
        found is not None and all(np.array_equal(found[key], expected[key]) for key in found)
        for found in either
    )
    assert list(either[0]) == list(described.model.tensors())
    assert all(value.dtype == np.float32 for value in either[0].values())


@pytest.mark.parametrize("name", NOT_DRAWN)
def test_a_constructor_that_draws_otherwise_has_others(name: str):
    described = describe(seeded(0, ZOO[name]), "Net")
    found = default_weights(described.model, 0)
    assert found is None or any(
        np.abs(value - described.tensors.values[key]).max() > 1e-3 for key, value in found.items()
    )


class Normed(nn.Module):
    """Norms of an image between layers that draw: they draw nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(1, 4, 5, stride=4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)),
            *(nn.LayerNorm((6, 6)), nn.LayerNorm((4, 6, 6)), nn.Conv2d(4, 8, 3)),
            *(nn.Flatten(), nn.LayerNorm(128), nn.Linear(128, 10)),
        )

    def forward(self, x):
        return self.net(x)


def test_norms_of_an_image_draw_nothing():
    described = describe(seeded(5, Normed), "Normed")
    either = [default_weights(described.model, 5, fused=fused) for fused in (True, False)]
    expected = described.tensors.values
    assert list(either[0]) == list(described.model.tensors())
    assert any(all(np.array_equal(found[key], expected[key]) for key in expected) for found in either)


class Scaled(nn.Module):
    def __init__(self, frozen: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 10)
        self.fc.weight.requires_grad_(not frozen)
        if not frozen:
            self.factor = nn.Parameter(torch.ones(10))

    def forward(self, x):
        x = self.fc(x.flatten(1))
        return x if not hasattr(self, "factor") else x * self.factor


@pytest.mark.parametrize("frozen", [False, True])
def test_a_tensor_of_no_layer_and_one_that_is_not_trained_have_none(frozen: bool):
    assert default_weights(describe(Scaled(frozen), "Scaled").model, 0) is None
