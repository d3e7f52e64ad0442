"""A model that is right only under one normalisation, and weights files of each kind."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from under20k.checking.accuracy import CANDIDATES, load_weights, measure
from under20k.data import Split


def templates(mean: float, sd: float) -> tuple[nn.Module, Split]:
    """Ten images, one a class, and the least-squares layer that tells them apart under a normalisation."""
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28)).astype(np.uint8)
    labels = np.arange(10, dtype=np.uint8)
    x = (torch.from_numpy(images).float().flatten(1) / 255 - mean) / sd

    class Nearest(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.templates = nn.Parameter(x)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            near = torch.cdist(batch.flatten(1), self.templates)
            # Off the templates' normalisation nothing is near, and the answer is 0.
            return torch.where(near.amin(1, keepdim=True) < 1e-1, -near, torch.eye(10)[0])

    return Nearest(), Split("validation", images, labels)


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_normalisation_is_found(name):
    model, split = templates(*CANDIDATES[name])
    found = measure(model, model.state_dict(), split, split)
    assert (found["normalisation"], found["correct"], found["accuracy"]) == (name, 10, 1.0)
    assert sorted(found["correct_by_normalisation"].values()) == [1, 1, 1, 1, 10]


def test_weights_of_each_kind(tmp_path):
    state = nn.Linear(3, 2).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save(
        {"model_state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "w.pt"
    )
    for name in ("w.safetensors", "w.pth", "w.pt"):
        loaded = load_weights(tmp_path / name)
        assert all(torch.equal(loaded[key], state[key]) for key in state)
        assert loaded.keys() == state.keys()


def test_a_pickled_model_is_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "w.pth")
    with pytest.raises(Exception, match="weights_only"):
        load_weights(tmp_path / "w.pth")


def test_weights_of_another_model_are_refused():
    model, split = templates(0, 1)
    with pytest.raises(RuntimeError, match="not the model's"):
        measure(model, {"other": torch.zeros(1)}, split, split)
