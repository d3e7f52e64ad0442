"""The assignment's own way to train, in plain PyTorch: a Dataset, a transform of each image, a DataLoader.

Usage: python -m benchmarks.plain_script minimal|regularized [--images N]

Such a notebook without torchvision, whose transforms do the same work: a PIL image of each digit, turned by
PIL where the recipe says so, then a tensor of fractions, then normalised. Batches of 128, shuffled, without
worker processes (the notebook asks for two only on a GPU); loss and accuracy are read at every step.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.turns import seconds
from under20k.data import load
from under20k.data.mnist import Split
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.engine.module import Network
from under20k.recipe.named import MINIMAL, REGULARIZED
from under20k.recipe.recipe import Recipe


class Digits(Dataset[tuple[Tensor, int]]):
    """The images as tensors (1, 28, 28), transformed when they are accessed, and their labels."""

    def __init__(self, data: Split, images: int, rotation_deg: float) -> None:
        self.images = torch.tensor(data.images[:images])
        self.labels = torch.tensor(data.labels[:images])
        self.rotation_deg = rotation_deg

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index].numpy())
        if self.rotation_deg:
            angle = random.uniform(-self.rotation_deg, self.rotation_deg)
            image = image.rotate(angle, Image.Resampling.NEAREST, fillcolor=0)
        fractions = torch.from_numpy(np.array(image)).unsqueeze(0).to(torch.float32).div(255)
        return fractions.sub_(MEAN).div_(STANDARD_DEVIATION), int(self.labels[index])


class Script:
    """A network with its DataLoader and optimiser, as such a script sets them up."""

    def __init__(self, recipe: Recipe, data: Split, images: int) -> None:
        torch.manual_seed(0)
        random.seed(0)
        digits = Digits(data, images, recipe.augmentation.rotation_deg)
        self.loader = DataLoader(digits, batch_size=recipe.batch_size, shuffle=True)
        self.network = Network(recipe.in_notation)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.last_loss = float("nan")

    def train_epoch(self) -> int:
        """Train on all images once; return how many were classified correctly during training."""
        self.network.train()
        correct = 0
        for images, labels in self.loader:
            self.optimiser.zero_grad()
            output = self.network(images)
            loss = F.nll_loss(output, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            correct += int((output.argmax(dim=1) == labels).sum())
            self.last_loss = loss.item()
        return correct


def main() -> None:
    """Train one epoch and print how long it took."""
    recipes = {recipe.name: recipe for recipe in (MINIMAL, REGULARIZED)}
    parser = argparse.ArgumentParser(description="Train one epoch as the assignment does.")
    parser.add_argument("recipe", choices=recipes)
    parser.add_argument("--images", type=int, default=50_000)
    arguments = parser.parse_args()
    script = Script(recipes[arguments.recipe], load().train, arguments.images)
    correct = 0

    def epoch() -> None:
        nonlocal correct
        correct = script.train_epoch()

    taken_s = seconds(epoch)
    print(f"{taken_s:.1f} s, {correct} of {arguments.images} images correct on the way")


if __name__ == "__main__":
    main()
