"""Switching to training and evaluation, with and without methods of the model's own."""

import pytest
from torch import nn

from under20k.engine.module_mode import set_training


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))


class Frozen(Plain):
    """Keeps its BatchNorm in evaluation mode, as torch's own method allows."""

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.inner[1].eval()
        return self


class Loops(Plain):
    def train(self, loader, epochs=3):
        raise AssertionError("trained")


class LoopsWithDefaults(Plain):
    def train(self, loader=None, verbose=True):
        raise AssertionError("trained")


class LoopsWithNothing(Plain):
    def train(self):
        raise AssertionError("trained")


class LoopsLoudly(Plain):
    def train(self, verbose=True):
        raise AssertionError("trained")


class HoldsData(Plain):
    train = (1, 2, 3)


def modes(model: nn.Module) -> list[bool]:
    return [part.training for part in model.modules()]


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("kind", [Plain, Loops, LoopsWithDefaults, LoopsWithNothing, LoopsLoudly, HoldsData])
def test_all_parts_take_the_mode(kind, inner):
    model = nn.Sequential(kind(), nn.ReLU()) if inner else kind()
    for training in (False, True, False):
        set_training(model, training)
        assert modes(model) == [training] * len(modes(model))


def test_a_method_that_adds_to_torchs_is_called():
    model = nn.Sequential(Frozen())
    set_training(model, True)
    assert modes(model) == [True, True, True, True, False]
    set_training(model, False)
    assert not any(modes(model))
