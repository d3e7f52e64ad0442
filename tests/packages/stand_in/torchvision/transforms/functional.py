"""Changes of images, as functions."""

from enum import Enum

import numpy
import torch
from PIL import Image
from torch import Tensor


class InterpolationMode(Enum):
    """Between pixels."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def to_tensor(picture: Image.Image | numpy.ndarray) -> Tensor:
    """(C, H, W), from 0 to 1."""
    pixels = torch.from_numpy(numpy.array(picture))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels.float() / 255


def normalize(tensor: Tensor, mean: object, std: object, inplace: bool = False) -> Tensor:
    """Less the mean, by the standard deviation of each channel."""
    return (tensor - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def to_pil_image(picture: Tensor) -> Image.Image:
    """A picture."""
    return Image.fromarray((picture[0] * 255).byte().numpy())


def resize(image: Tensor, size: int | list[int], **options: object) -> Tensor:
    """To other sides."""
    return torch.nn.functional.interpolate(image[None], size)[0]
