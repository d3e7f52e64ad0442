"""Architectures: convolution blocks and a head, and everything that can be counted about them.

Pure Python: no torch, no files. Shapes: C channels, H rows, W columns of one image's activations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from under20k.drawing import Drawable
from under20k.errors import InvalidValue
from under20k.recipe import notation
from under20k.recipe.fields import flag, number, whole_number
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import CLASSES as CLASSES
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.graph import IMAGE_SIDE as IMAGE_SIDE
from under20k.recipe.graph.layers import Layer as Layer
from under20k.recipe.graph.layers import layers
from under20k.recipe.graph.node import Node

MAX_CHANNELS = 1024
MAX_BLOCKS = 32


@dataclass(frozen=True, slots=True)
class Conv:
    """A block: convolution → BatchNorm → ReLU → 2×2 max pooling → dropout; the flags say which it has."""

    channels: int
    kernel: int = 3
    padding: int = 1
    batch_norm: bool = True
    pool: bool = False
    dropout: float = 0.0
    bias: bool = True
    shared: bool = False
    """Whether the convolution uses the weights of the block before; they count once."""

    def __post_init__(self) -> None:
        whole_number("channels", self.channels, 1, MAX_CHANNELS)
        _check_window(self.kernel, self.padding)
        for name in ("batch_norm", "pool", "bias", "shared"):
            flag(name, getattr(self, name))
        dropout = number("dropout", self.dropout, 0, 1, open_end=True)
        object.__setattr__(self, "dropout", dropout)  # a plain float: NumPy's have another repr

    def __str__(self) -> str:
        return notation.block_text(asdict(self))


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a network: from the last block's feature maps to 10 logits.

    A convolution to 10 feature maps, then their global average; with ``pool_first``, the global average of
    the feature maps, then a 1×1 convolution.
    """

    kernel: int = 3
    padding: int = 0
    pool_first: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        _check_window(self.kernel, self.padding)
        for name in ("pool_first", "bias"):
            flag(name, getattr(self, name))
        if self.pool_first and (self.kernel, self.padding) != (1, 0):
            raise InvalidValue(
                f"head: kernel {self.kernel} with padding {self.padding} after global average pooling; "
                "expected kernel 1 with padding 0, since the feature map is 1×1"
            )

    def __str__(self) -> str:
        return notation.head_text(asdict(self))


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
    for index, block in enumerate(architecture.blocks):
        source = nodes[-1].name if nodes else IMAGE
        nodes += _block_nodes(block, index, source, architecture.kernel_name(index))
    return Graph((*nodes, *_head_nodes(architecture.head, nodes[-1].name)))


def _block_nodes(block: Conv, index: int, source: str, weight: str) -> Iterator[Node]:
    """Yield the nodes of block ``index`` after the node ``source``; ``weight`` names its kernel."""
    name = f"blocks.{index}"
    yield op.Convolution(
        f"{name}.conv",
        (source,),
        block.channels,
        weight,
        f"{name}.conv.bias" if block.bias else None,
        kernel=(block.kernel, block.kernel),
        padding=(block.padding, block.padding),
    )
    source = f"{name}.conv"
    if block.batch_norm:
        weight, bias, mean, var = (
            f"{name}.batch_norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")
        )
        yield op.BatchNorm(f"{name}.batch_norm", (source,), weight, bias, mean, var)
        source = f"{name}.batch_norm"
    yield op.Activation(f"{name}.relu", (source,), "relu")
    source = f"{name}.relu"
    if block.pool:
        yield op.Pool(f"{name}.pool", (source,), "max", (2, 2), (2, 2))
        source = f"{name}.pool"
    if block.dropout:
        yield op.Dropout(f"{name}.dropout", (source,), block.dropout, stream=index)


def _head_nodes(head: Head, source: str) -> Iterator[Node]:
    """Yield the nodes of a head after the node ``source``."""
    order = ("head.pool", "head.conv") if head.pool_first else ("head.conv", "head.pool")
    for name in order:
        if name == "head.pool":
            yield op.AdaptivePool(name, (source,), "average")
        else:
            kernel, padding = (head.kernel, head.kernel), (head.padding, head.padding)
            bias = "head.conv.bias" if head.bias else None
            weight = "head.conv.weight"
            yield op.Convolution(name, (source,), CLASSES, weight, bias, kernel=kernel, padding=padding)
        source = name
    yield op.Reshape("head.flatten", (source,), (CLASSES,))
    yield op.LogSoftmax("head.log_softmax", ("head.flatten",))


def _check_sharing(blocks: Sequence[Conv]) -> None:
    """Raise InvalidValue where a block cannot share the weights of the block before it."""
    channels, before = 1, ""
    for index, block in enumerate(blocks):
        kernel = f"{block.kernel}×{block.kernel} kernel from {channels} to {block.channels} channels"
        if block.shared and kernel != before:
            raise InvalidValue(
                f"blocks.{index}.conv: a {kernel} cannot share the weights of "
                f"{f'a {before}' if before else 'the block before it, because it is the first'}; remove its s"
            )
        channels, before = block.channels, kernel


def _check_window(kernel: int, padding: int) -> None:
    whole = type(kernel) is int and type(padding) is int  # since True == 1 and 3.0 == 3
    if not whole or (kernel, padding) not in {(1, 0), (3, 0), (3, 1)}:
        raise InvalidValue(
            f"kernel: {kernel!r} with padding {padding!r}; expected 1 with padding 0, or 3 with 0 or 1"
        )
