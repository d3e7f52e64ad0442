"""A model as a student writes it, and changes of it."""

GOOD = """
import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.a, self.bn = nn.Conv2d(1, width, 6, stride=2), nn.BatchNorm2d(width)
        self.b = nn.Conv2d(width, 10, 12)

    def forward(self, x):
        x = F.dropout(F.relu(self.bn(self.a(x))), 0.1, self.training)
        return self.b(x).mean((2, 3))
"""
# 4·36 + 4 + 8 + 4·10·144 + 10
PARAMETERS = 5926


def running(lines: str) -> str:
    """The good model, its ``forward`` beginning with these lines."""
    inside = lines.replace("\n", "\n        ")
    return GOOD.replace("def forward(self, x):", f"def forward(self, x):\n        {inside}")
