"""The newer names."""

import torch
from torch import nn

from torchvision.transforms.transforms import *


class ToDtype(nn.Module):
    """Of another type."""

    def __init__(self, dtype: torch.dtype, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtype, scale

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.to(self.dtype) / (255 if self.scale else 1)
