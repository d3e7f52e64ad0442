"""A file as students hand it in, with models that train in seconds, and the options that make it so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from under20k.recipe.architecture import Architecture
from under20k.recipe.named import MINIMAL
from under20k.recipe.own_model import OwnModel

MODEL = '''\
import torch
from torch import nn
from torch.nn import functional as F


class Tiny(nn.Module):
    def __init__(self, width=2, dropout=0.0):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 5, stride=4)
        self.bn = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(width * 36, 10)

    def logits(self, x):
        return self.fc(self.drop(F.relu(self.bn(self.conv(x)))).flatten(1))

    def forward(self, x):
        return F.log_softmax(self.logits(x), dim=1)


class Logits(Tiny):
    def forward(self, x):
        return self.logits(x)


class Softmax(Tiny):
    def forward(self, x):
        return F.softmax(self.logits(x), dim=1)


class Fourier(Tiny):
    """Only PyTorch has its operation."""

    def forward(self, x):
        return self.logits(torch.fft.fft2(x).abs() / 28)


class Eleven(Tiny):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(72, 11)


class NotFinite(Tiny):
    def __init__(self):
        super().__init__()
        self.fc.weight.data.fill_(float("nan"))


class Pair(Tiny):
    def forward(self, x, y):
        return super().forward(x + y)


class Noisy(Tiny):
    def forward(self, x):
        return super().forward(x + 0.01 * torch.randn_like(x))


def double(width=4):
    return Tiny(width)


ready = Tiny(3)
'''
FAST = ("--epochs", "1", "--batch-size", "5000")
CHANGES = {"epochs": 1, "batch_size": 5000}


def write_model(folder: Path, text: str = MODEL, name: str = "model.py") -> Path:
    """Write the file, and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def own(architecture: Architecture = MINIMAL.architecture, **changes: Any) -> OwnModel:
    """A model of the user's that is what an architecture is, with some fields replaced."""
    model = OwnModel(
        name="Net",
        target="model.py:Net",
        sha256="0123456789abcdef" * 4,
        arguments=(("dropout", 0.1), ("widths", [8, 12])),
        tensor_shapes=tuple(architecture.tensors().items()),
        trained_names=architecture.trained_names,
        macs=architecture.macs,
        receptive_field=architecture.receptive_field,
        graph=architecture.graph,
        integers=tuple(
            (name.replace("running_mean", "num_batches_tracked"), ())
            for name in architecture.tensors()
            if name.endswith("running_mean")
        ),
    )
    return replace(model, **changes)
