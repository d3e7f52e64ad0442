"""The useful arithmetic of a training: products inside the feature map, counted from the architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from under20k.recipe.architecture import CLASSES, IMAGE_SIDE, Architecture
from under20k.recipe.limits import TRAIN_IMAGES


@dataclass(frozen=True)
class Convolution:
    """One convolution of an architecture; maps are square, sides in pixels."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    padding: int
    side: int
    """Of the input."""
    stride: int = 1
    groups: int = 1

    @property
    def output_side(self) -> int:
        return (self.side + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def flop(self) -> int:
        """Of one pass over one image, forward or either gradient: two for each product, none for padding."""
        rows = sum(
            0 <= self.stride * y + k - self.padding < self.side
            for y in range(self.output_side)
            for k in range(self.kernel)
        )
        # As many pairs of columns as of rows.
        return 2 * self.inputs // self.groups * self.outputs * rows**2


def convolutions(architecture: Architecture) -> Iterator[Convolution]:
    """Every convolution in the order of computation."""
    inputs, side = 1, IMAGE_SIDE
    for index, block in enumerate(architecture.blocks):
        own = Convolution(
            f"blocks.{index}.conv",
            inputs,
            block.channels,
            block.kernel,
            block.padding,
            side,
            block.stride,
            block.groups,
        )
        yield own
        inputs, side = block.channels, own.output_side // 2 if block.pool else own.output_side
    head = architecture.head
    yield Convolution("head.conv", inputs, CLASSES, head.kernel, head.padding, 1 if head.pool_first else side)


def epoch_flop(architecture: Architecture, images: int = TRAIN_IMAGES) -> int:
    """Of an epoch: forward, the weights' gradient and, but for the first convolution, the input's."""
    return images * sum(
        (3 if index else 2) * convolution.flop for index, convolution in enumerate(convolutions(architecture))
    )
