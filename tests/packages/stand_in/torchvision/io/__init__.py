"""Images as tensors."""

import numpy
import torch
from PIL import Image
from torch import Tensor

try:
    import av
except ImportError:
    av = None


def read_image(path: str) -> Tensor:
    """(C, H, W), uint8."""
    with Image.open(path) as image:
        pixels = torch.from_numpy(numpy.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
