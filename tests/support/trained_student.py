"""A student's model, trained by a script of the student's own."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.support.submissions import GOOD
from under20k.data import Mnist


def student() -> nn.Module:
    space: dict = {}
    exec(GOOD, space)
    return space["Net"]()


def trained(mnist: Mnist, mean: float, sd: float, images: int = 6_000) -> nn.Module:
    """The student's model, trained for two epochs on a part of the train split, under a normalisation."""
    torch.manual_seed(0)
    model, threads = student(), torch.get_num_threads()
    torch.set_num_threads(1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x = (torch.from_numpy(mnist.train.images[:images].copy()).float()[:, None] / 255 - mean) / sd
    y = torch.from_numpy(mnist.train.labels[:images].astype(np.int64))
    for _ in range(2):
        for part in torch.randperm(images).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    with torch.no_grad():  # BatchNorm's statistics settle, as they do while a learning rate falls
        for part in torch.arange(images).split(64):
            model(x[part])
    torch.set_num_threads(threads)
    return model.eval()
