"""Parameters that pooling the last maps saves, counted from the architecture.

The assignment says that global average pooling eliminated about 2,400 fully connected parameters. What it
saves depends on the maps it averages: a head convolution that already covers the whole map has as many
weights as a fully connected layer would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from under20k.recipe.architecture import CLASSES, Architecture
from under20k.report.words import shape_text


@dataclass(frozen=True)
class HeadCost:
    """Parameters of an architecture's head and of fully connected layers in its place.

    Shapes are (channels, rows, columns). A fully connected layer has a bias where the head has one.
    """

    maps: tuple[int, ...]
    """Output of the last block."""
    averaged: tuple[int, ...]
    """Input of the global average pooling."""
    head: int
    connected: int
    """A fully connected layer on ``maps``, in place of the head."""
    pooled_maps: tuple[int, ...] | None
    """Output of the last max pooling; None if there is none, or only the head follows it."""
    after_pool: int
    """All layers after the last max pooling, the head included."""
    connected_after_pool: int
    """A fully connected layer on ``pooled_maps``, replacing these layers."""
    pooled_head: int
    """A head that pools ``maps`` first and then has a 1×1 convolution."""

    @property
    def saved(self) -> int:
        """Parameters that the head saves against a fully connected layer on the same maps."""
        return self.connected - self.head

    @classmethod
    def of(cls, architecture: Architecture) -> HeadCost:
        """Count the parameters of ``architecture``."""
        layers = list(architecture.layers())
        first = next(index for index, layer in enumerate(layers) if layer.name.startswith("head."))
        gap = next(index for index, layer in enumerate(layers) if layer.name == "head.pool")
        pools = [index for index, layer in enumerate(layers) if layer.kind == "MaxPool2d"]
        maps = layers[first - 1].shape
        convolved = any(layer.parameters for layer in layers[pools[-1] : first]) if pools else False
        pooled = layers[pools[-1]].shape if convolved else None

        def connected(inputs: int) -> int:
            return CLASSES * (inputs + architecture.head.bias)

        return cls(
            maps=maps,
            averaged=layers[gap - 1].shape,
            head=sum(layer.parameters for layer in layers[first:]),
            connected=connected(math.prod(maps)),
            pooled_maps=pooled,
            after_pool=sum(layer.parameters for layer in layers[pools[-1] :]) if pooled else 0,
            connected_after_pool=connected(math.prod(pooled)) if pooled else 0,
            pooled_head=connected(maps[0]),
        )

    def sentences(self) -> str:
        """Describe the pooling in words and numbers."""
        maps, averaged = shape_text(self.maps), shape_text(self.averaged[1:])
        saved = f"{self.saved:,}" if self.saved > 0 else "none"
        text = (
            f"The last block outputs {maps} maps. A fully connected layer on them has {self.connected:,} "
            f"parameters, this head {self.head:,}: "
        )
        text += f"global average pooling, here of {averaged} maps, saves {saved}. "
        if self.averaged[1:] == (1, 1):
            text += "The head's convolution already covers the whole map. "
        if self.pooled_head < self.head:
            text += (
                f"Pooled first, with a 1×1 convolution after it, the head would have {self.pooled_head:,}. "
            )
        if self.pooled_maps:
            text += (
                f"A fully connected layer on the {shape_text(self.pooled_maps)} maps of the last max pooling "
                f"would have {self.connected_after_pool:,}; the layers after that pooling have "
                f"{self.after_pool:,}. "
            )
        return text.rstrip()
