"""Operators."""

import torch
from torch import Tensor, nn

from torchvision import _registrations
from torchvision.ops import misc
from torchvision.ops.boxes import *


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes kept."""
    return torch.ops.torchvision.nms(boxes, scores, iou_threshold)


class SqueezeExcitation(nn.Module):
    """A gate on channels."""

    def __init__(self, input_channels: int, squeeze_channels: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(torch.relu(self.fc1(self.avgpool(x))))
        return x * torch.sigmoid(gate)
