"""Architectures: convolution blocks and a head, and everything that can be counted about them.

Pure Python: no torch, no files. Shapes: C channels, H rows, W columns of one image's activations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from under20k.drawing import Drawable
from under20k.errors import InvalidValue
from under20k.recipe import notation
from under20k.recipe.blocks import MAX_BLOCKS, Conv, Head
from under20k.recipe.graph.graph import CLASSES as CLASSES
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.graph import IMAGE_SIDE as IMAGE_SIDE
from under20k.recipe.graph.layers import Layer as Layer
from under20k.recipe.graph.layers import layers
from under20k.recipe.graph.node import Node
from under20k.recipe.notation import residual_text


@dataclass(frozen=True, slots=True)
class Architecture(Drawable):
    """Blocks that start from the image (1, 28, 28), then a head that ends in 10 log-probabilities."""

    blocks: tuple[Conv, ...]
    head: Head = field(default_factory=Head)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not 1 <= len(self.blocks) <= MAX_BLOCKS:
            raise InvalidValue(f"blocks: {len(self.blocks)}; expected 1 to {MAX_BLOCKS}")
        _check_sharing(self.blocks)
        _check_residuals(self)
        _graph(self)  # raises where a feature map would become empty

    def __str__(self) -> str:
        return ",".join(map(str, self.blocks)) + "|" + str(self.head)

    def __repr__(self) -> str:
        return f"Architecture({self}: {self.parameters:,} parameters)"

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Return the architecture written as ``text`` (see ``notation``). Raises InvalidValue."""
        blocks, head = notation.parse(text)
        return cls(tuple(Conv(**block) for block in blocks), Head(**head))

    def layers(self) -> Iterator[Layer]:
        """Yield every layer in the order of computation, under the names of the PyTorch module."""
        return layers(self.graph)

    @property
    def parameters(self) -> int:
        """Count the trainable parameters."""
        return sum(layer.parameters for layer in self.layers())

    @property
    def macs(self) -> int:
        """Count the convolutions' multiply-accumulates for one image, padding included as in PyTorch."""
        return sum(layer.macs for layer in self.layers())

    @property
    def receptive_field(self) -> int:
        """Return the side, in pixels, of the input square behind each element that the head averages.

        Padding counts: a field wider than 28 covers the whole image.
        """
        layers = itertools.takewhile(lambda layer: layer.name != "head.pool", self.layers())
        return max(layer.receptive_field for layer in layers)

    @property
    def graph(self) -> Graph:
        """Return the network as a graph; its nodes have the names of the PyTorch module's layers."""
        return _graph(self)

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the weights, as in the PyTorch module's ``state_dict`` (floats only)."""
        return self.graph.tensors()

    @property
    def trained_names(self) -> frozenset[str]:
        """Return the names of the tensors that are trained: all but the running statistics."""
        return frozenset(self.graph.trained())

    def kernel_name(self, index: int) -> str:
        """Return the name of the weight tensor, own or shared, of block ``index``, counted from 0."""
        while self.blocks[index].shared:
            index -= 1
        return f"blocks.{index}.conv.weight"


@lru_cache
def _graph(architecture: Architecture) -> Graph:
    nodes: list[Node] = []
    sources: list[str] = []  # what each block takes
    for index, block in enumerate(architecture.blocks):
        sources.append(nodes[-1].name if nodes else IMAGE)
        shortcut = sources[-block.residual] if block.residual else ""
        nodes += block.nodes(index, sources[-1], shortcut, architecture.kernel_name(index))
    return Graph((*nodes, *architecture.head.nodes(nodes[-1].name)))


def _check_sharing(blocks: Sequence[Conv]) -> None:
    """Raise InvalidValue where a block cannot share the weights of the block before it."""
    channels, before = 1, ""
    for index, block in enumerate(blocks):
        kernel = f"{block.kernel}×{block.kernel} kernel from {channels} to {block.channels} channels"
        kernel += f" in {block.groups} groups" if block.groups > 1 else ""
        if block.shared and kernel != before:
            raise InvalidValue(
                f"blocks.{index}.conv: a {kernel} cannot share the weights of "
                f"{f'a {before}' if before else 'the block before it, because it is the first'}; remove its s"
            )
        channels, before = block.channels, kernel


def _check_residuals(architecture: Architecture) -> None:
    """Raise InvalidValue where a block cannot add what its shortcut leads to."""
    blocks = architecture.blocks
    for index, block in enumerate(blocks):
        if block.residual > index + 1:
            raise InvalidValue(
                f"blocks.{index}.add: {residual_text(block.residual)} reaches back {block.residual} blocks, "
                f"but there are only {index + 1} up to this one; expected at most {residual_text(index + 1)}"
            )
    if not any(block.residual for block in blocks):
        return
    # Sums do not change shapes.
    plain = replace(architecture, blocks=tuple(replace(block, residual=0) for block in blocks)).graph
    taken = {node.name: shapes[0] for node, shapes in plain.inputs()}
    made = plain.shapes()
    for index, block in enumerate(blocks):
        first = index + 1 - block.residual
        own, added = made[f"blocks.{index}.conv"], taken[f"blocks.{first}.conv"] if block.residual else ()
        if block.residual and own != added:
            sides = ["×".join(map(str, shape)) for shape in (added, own)]
            raise InvalidValue(
                f"blocks.{index}.add: the input of blocks.{first} is {sides[0]}, and cannot be added to "
                f"{sides[1]}; give both one shape, or remove the {residual_text(block.residual)}"
            )
