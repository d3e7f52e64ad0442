"""The ways in which people normalise MNIST's pixels. Shapes: N images, H rows, W columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

CANDIDATES = {
    "(x/255 − 0.1307) / 0.3081": (0.1307, 0.3081),
    "x/255": (0.0, 1.0),
    "(x/255 − 0.5) / 0.5": (0.5, 0.5),
    "x, from 0 to 255": (0.0, 1 / 255),
    "1 − x/255": (1.0, -1.0),
    "(x − 0.1307) / 0.3081, x from 0 to 255": (0.1307 / 255, 0.3081 / 255),
    "(x/255 − 0.449) / 0.226 (ImageNet's, grey)": (0.449, 0.226),
    "(x/255 − 0.485) / 0.229 (ImageNet's, red)": (0.485, 0.229),
    "(x/255 − 0.286) / 0.353 (Fashion-MNIST's)": (0.286, 0.353),
    "x/255 − 0.5": (0.5, 1.0),
    "(1 − x/255 − 0.1307) / 0.3081": (0.8693, -0.3081),
}
"""Usual normalisations: mean and standard deviation of x/255."""


@dataclass(frozen=True)
class Inputs:
    """A kind of inputs, before the normalisation: (N, 28, 28) uint8 → (N, 1, H, W), mostly x/255."""

    name: str
    """Shown after the normalisation's name; empty for x/255 itself."""
    make: Callable[[Tensor], Tensor]
    pad: int = 0
    """Zeros on each side, after the normalisation."""
    usual: tuple[str, ...] = ("(x/255 − 0.1307) / 0.3081", "x/255", "(x/255 − 0.5) / 0.5")


def _per_image(x: Tensor) -> Tensor:
    sd, mean = torch.std_mean(x, (2, 3), keepdim=True)
    return (x - mean) / sd.clamp(min=1e-6)


INPUTS = (
    Inputs("", lambda x: x, usual=tuple(CANDIDATES)),
    Inputs("x/255 > 0.5 as 1, else 0", lambda x: (x > 0.5).float()),
    Inputs("x > 0 as 1, else 0", lambda x: (x > 0).float()),
    Inputs("each image to mean 0, sd 1", _per_image, usual=("x/255",)),
    Inputs("padded to 32×32 with background", lambda x: F.pad(x, (2, 2, 2, 2))),
    Inputs("padded to 32×32 with zeros", lambda x: x, pad=2),
    Inputs("scaled to 32×32", lambda x: F.interpolate(x, (32, 32), mode="bilinear", antialias=True)),
)


@dataclass(frozen=True)
class Normalisation:
    """The inputs of a model: (x/255 − mean) / std, unless ``inputs`` say otherwise."""

    mean: float
    std: float
    inputs: Inputs = INPUTS[0]
    name: str = ""

    def __call__(self, images: NDArray[np.uint8]) -> Tensor:
        """Return (N, 28, 28) images as (N, 1, H, W) inputs."""
        x = self.inputs.make(torch.from_numpy(images.copy()).float().unsqueeze(1) / 255)
        return F.pad((x - self.mean) / self.std, (self.inputs.pad,) * 4)

    @property
    def text(self) -> str:
        """The formula, such as ``(x/255 − 0.1307) / 0.3081``."""
        affine = self.name or f"(x/255 − {self.mean:.4g}) / {self.std:.4g}"
        if not self.inputs.name:
            return affine
        plain = self.name == "x/255"
        return self.inputs.name if plain else f"{affine}, {self.inputs.name}"
