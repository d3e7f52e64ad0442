"""The form in which images are given to a model. Shapes: N images, C channels, H rows, W columns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from under20k.engine.module_network import laid_out
from under20k.recipe.architecture import IMAGE_SIDE


@dataclass(frozen=True)
class Form:
    """The form in which images are given to a model."""

    batch: int = 2  # BatchNorm in training mode cannot take one image whose maps are 1×1
    channels: int = 1
    side: int = IMAGE_SIDE
    layout: str = "maps"
    """``maps`` of N×C×H×W, ``flat`` N×(C·H·W), ``rows`` N×(C·H)×W, or ``channels last`` N×H×W×C."""

    def images(self) -> Tensor:
        """Return random images, always the same."""
        generator = torch.Generator().manual_seed(0)
        return self.laid_out(
            torch.randn(self.batch, self.channels, self.side, self.side, generator=generator)
        )

    def laid_out(self, images: Tensor) -> Tensor:
        """Return maps (N, C, H, W) in this layout."""
        return laid_out(images, self.layout)
