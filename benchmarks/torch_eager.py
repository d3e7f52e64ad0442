"""Plain PyTorch, eager, float32, with the dataset in one tensor: no DataLoader, no work per image.

Shapes: N images of the set, n of a batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from under20k.data.mnist import Split
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.engine.module import Network
from under20k.recipe.recipe import Recipe


def normalised(pixels: Tensor) -> Tensor:
    """Pixels in 0–255, (n, 28, 28) → the network's input, (n, 1, 28, 28) float32."""
    return ((pixels.float() / 255 - MEAN) / STANDARD_DEVIATION).unsqueeze(1)


def rotated(images: Tensor, degrees: float) -> Tensor:
    """(n, 1, 28, 28), each turned by a random angle of ±``degrees``: nearest pixel, background outside."""
    angles = torch.empty(len(images)).uniform_(-degrees, degrees).mul_(math.pi / 180)
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    matrices = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    background = -MEAN / STANDARD_DEVIATION
    turned = F.grid_sample(images - background, grid, mode="nearest", align_corners=False)
    return turned + background


class Eager:
    """Trains a recipe's network, or a module that returns log-probabilities: SGD, with at most a rotation."""

    def __init__(self, recipe: Recipe, data: Split, module: nn.Module | None = None) -> None:
        torch.manual_seed(0)
        self.recipe = recipe
        self.images = normalised(torch.tensor(data.images))
        self.labels = torch.tensor(data.labels).long()
        self.network = module or Network(recipe.in_notation)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )

    def train_epoch(self, images: int) -> int:
        """Train on the first ``images`` in random order; return how many were classified correctly."""
        self.network.train()
        correct = torch.zeros((), dtype=torch.int64)
        for batch in torch.split(torch.randperm(images), self.recipe.batch_size):
            x, y = self.images[batch], self.labels[batch]
            if self.recipe.augmentation.rotation_deg:
                x = rotated(x, self.recipe.augmentation.rotation_deg)
            output = self.network(x)
            loss = F.nll_loss(output, y)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            correct += (output.argmax(dim=1) == y).sum()
        return int(correct)
