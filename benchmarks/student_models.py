"""Ten models as students of an MNIST course write them, each below 20,000 parameters.

Shapes: n images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def block(
    inputs: int, outputs: int, dropout: float = 0.0, padding: int = 0, kernel: int = 3
) -> nn.Sequential:
    """Convolution, ReLU, BatchNorm, dropout: the order that most of them use."""
    layers = [
        nn.Conv2d(inputs, outputs, 3, padding=padding, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))


class LogProbabilities(nn.Module):
    """Layers in a row, and log-softmax: (n, 1, H, W) → (n, 10)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.layers(x).view(-1, 10), dim=-1)


def transitions() -> nn.Module:
    """Blocks with a 1×1 transition before each pooling; the average, then a 1×1 convolution."""
    return LogProbabilities(
        block(1, 10, 0.05),
        block(10, 16, 0.05),
        nn.Conv2d(16, 10, 1, bias=False),
        nn.MaxPool2d(2, 2),
        block(10, 14, 0.05),
        block(14, 16, 0.05),
        block(16, 16, 0.05, padding=1),
        nn.AvgPool2d(kernel_size=8),
        nn.Conv2d(16, 10, 1, bias=False),
    )


def seven_by_seven() -> nn.Module:
    """Two poolings and a 7×7 convolution as the head; no BatchNorm, no dropout."""
    return LogProbabilities(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2, 2),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2, 2),
        *(nn.Conv2d(16, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 10, 7)),
    )


def norm_first() -> nn.Module:
    """Convolution with a bias, BatchNorm, ReLU, pooling, dropout; the global average at the end."""

    def one(inputs: int, outputs: int, pool: bool = False) -> list[nn.Module]:
        layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        return [*layers, *([nn.MaxPool2d(2), nn.Dropout(0.1)] if pool else [])]

    return LogProbabilities(
        *(*one(1, 8), *one(8, 8, True), *one(8, 16), *one(16, 16, True), *one(16, 24)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)),
    )


def linear_head() -> nn.Module:
    """Two blocks with pooling, then two linear layers."""
    return LogProbabilities(
        *(block(1, 8), nn.MaxPool2d(2), block(8, 12), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(12 * 25, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 10)),
    )


class FiveByFive(nn.Module):
    """The tutorial's network, made smaller: 5×5 kernels, channel dropout, linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5), nn.Conv2d(8, 16, 5)
        self.drop = nn.Dropout2d(0.25)
        self.fc1, self.fc2 = nn.Linear(256, 40), nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        x = F.dropout(x, 0.25, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def separable() -> nn.Module:
    """Depthwise separable convolutions: 3×3 of each channel, then 1×1."""

    def one(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            *(nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.BatchNorm2d(inputs)),
            *(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        ]

    return LogProbabilities(
        *(block(1, 16, padding=1), *one(16, 24), nn.MaxPool2d(2), *one(24, 32), nn.MaxPool2d(2)),
        *(*one(32, 48), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(48, 10)),
    )


class Residual(nn.Module):
    """A small ResNet: additions around two convolutions each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.convs = nn.ModuleList(nn.Conv2d(12, 12, 3, padding=1, bias=False) for _ in range(6))
        self.norms = nn.ModuleList(nn.BatchNorm2d(12) for _ in range(6))
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 2)
        for i in range(0, 6, 2):
            y = F.relu(self.norms[i](self.convs[i](x)))
            x = F.relu(x + self.norms[i + 1](self.convs[i + 1](y)))
        return F.log_softmax(self.fc(x.mean(dim=(2, 3))), dim=1)


def no_padding() -> nn.Module:
    """Eight thin blocks without padding, dropout in each, a single pooling: the fewest parameters."""
    return LogProbabilities(
        *(block(1, 8, 0.1), block(8, 8, 0.1), nn.MaxPool2d(2, 2), block(8, 12, 0.1), block(12, 12, 0.1)),
        *(block(12, 12, 0.1), block(12, 12, 0.1), nn.Conv2d(12, 10, 1, bias=False)),
        nn.AdaptiveAvgPool2d(1),
    )


def strided() -> nn.Module:
    """Convolutions of stride 2 in place of pooling, LeakyReLU."""

    def one(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1)]

    return LogProbabilities(
        *(*one(1, 12, 1), *one(12, 16, 2), *one(16, 16, 1), *one(16, 24, 2), *one(24, 24, 1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)),
    )


class WideThenNarrow(nn.Module):
    """16 and 32 channels with 1×1 layers between, BatchNorm before ReLU, GELU at the end."""

    def __init__(self) -> None:
        super().__init__()

        def one(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
            conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.05))

        self.first = nn.Sequential(one(1, 16, 3), one(16, 32, 3), one(32, 8, 1))
        self.pool = nn.MaxPool2d(2, 2)
        self.second = nn.Sequential(one(8, 16, 3), one(16, 32, 3), one(32, 8, 1))
        self.third = nn.Sequential(nn.Conv2d(8, 16, 3), nn.GELU(), nn.Conv2d(16, 10, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.second(self.pool(self.first(x))))
        return F.log_softmax(torch.flatten(self.third(x), 1), dim=1)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "transitions": transitions,
    "7×7 head": seven_by_seven,
    "BatchNorm first": norm_first,
    "linear head": linear_head,
    "5×5 kernels": FiveByFive,
    "separable": separable,
    "residual": Residual,
    "no padding": no_padding,
    "strided": strided,
    "wide then narrow": WideThenNarrow,
}
