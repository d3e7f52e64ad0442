"""A plain network."""

from enum import Enum

from torch import nn


class VGG16_Weights(Enum):
    """Where they lie."""

    DEFAULT = "vgg16"


def vgg16(*, weights: VGG16_Weights | None = None, num_classes: int = 1000) -> nn.Module:
    """Its first and its last layer."""
    stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(7))
    return nn.Sequential(stem, nn.Flatten(), nn.Linear(64 * 49, num_classes))
