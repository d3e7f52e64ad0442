"""Pictures of batches."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def make_grid(tensor: Tensor, nrow: int = 8, padding: int = 2, **options: object) -> Tensor:
    """(C, H, W): the images in rows."""
    count, channels, height, width = tensor.shape
    rows = math.ceil(count / nrow)
    grid = torch.zeros(channels, rows * (height + padding), nrow * (width + padding))
    for index, image in enumerate(tensor):
        top, left = index // nrow * (height + padding), index % nrow * (width + padding)
        grid[:, top : top + height, left : left + width] = image
    return grid


def save_image(tensor: Tensor, fp: str | Path, **options: object) -> None:
    """Write a grid as a picture."""
    pixels = (make_grid(tensor)[0].clamp(0, 1) * 255).byte().numpy()
    Image.fromarray(pixels).save(fp)
