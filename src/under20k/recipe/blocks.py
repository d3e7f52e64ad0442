"""The parts of an architecture, convolution blocks and a head, and the nodes that compute them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from under20k.errors import InvalidValue
from under20k.recipe import notation
from under20k.recipe.fields import flag, number, whole_number
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import CLASSES
from under20k.recipe.graph.node import Node

MAX_CHANNELS = 1024
MAX_BLOCKS = 32
KERNELS = (1, 3, 5, 7)
"""Sides of a kernel. Its padding is 0, or half of it, which keeps the size."""


@dataclass(frozen=True, slots=True)
class Conv:
    """A block: convolution → BatchNorm → sum → ReLU → 2×2 max pooling → dropout.

    The fields say which of them it has.
    """

    channels: int
    kernel: int = 3
    padding: int = 1
    batch_norm: bool = True
    pool: bool = False
    dropout: float = 0.0
    bias: bool = True
    shared: bool = False
    """Whether the convolution uses the weights of the block before; they count once."""
    stride: int = 1
    groups: int = 1
    """Groups of channels that the convolution keeps apart; as many as channels for a depthwise one."""
    residual: int = 0
    """Number of blocks, this one the last, whose input is added before the ReLU; 0 for no addition."""

    def __post_init__(self) -> None:
        whole_number("channels", self.channels, 1, MAX_CHANNELS)
        _check_window(self.kernel, self.padding)
        for name in ("batch_norm", "pool", "bias", "shared"):
            flag(name, getattr(self, name))
        dropout = number("dropout", self.dropout, 0, 1, open_end=True)
        object.__setattr__(self, "dropout", dropout)  # a plain float: NumPy's have another repr
        whole_number("stride", self.stride, 1, 2)
        if self.channels % whole_number("groups", self.groups, 1, MAX_CHANNELS):
            raise InvalidValue(
                f"groups: {self.groups} of {self.channels} channels; expected a number that divides them"
            )
        whole_number("residual", self.residual, 0, MAX_BLOCKS)

    def __str__(self) -> str:
        return notation.block_text(asdict(self))

    def nodes(self, index: int, source: str, shortcut: str, weight: str) -> Iterator[Node]:
        """Yield the block's nodes, under the names of the PyTorch module's layers.

        Args:
            index: of the block in the network.
            source: name of the value that it takes.
            shortcut: name of the value that it adds, if it adds any.
            weight: name of its kernel.
        """
        name = f"blocks.{index}"
        yield op.Convolution(
            f"{name}.conv",
            (source,),
            self.channels,
            weight,
            f"{name}.conv.bias" if self.bias else None,
            kernel=(self.kernel, self.kernel),
            stride=(self.stride, self.stride),
            padding=(self.padding, self.padding),
            groups=self.groups,
        )
        source = f"{name}.conv"
        if self.batch_norm:
            weight, bias, mean, var = (
                f"{name}.batch_norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")
            )
            yield op.BatchNorm(f"{name}.batch_norm", (source,), weight, bias, mean, var)
            source = f"{name}.batch_norm"
        if self.residual:
            yield op.Add(f"{name}.add", (source, shortcut))
            source = f"{name}.add"
        yield op.Activation(f"{name}.relu", (source,), "relu")
        source = f"{name}.relu"
        if self.pool:
            yield op.Pool(f"{name}.pool", (source,), "max", (2, 2), (2, 2))
            source = f"{name}.pool"
        if self.dropout:
            yield op.Dropout(f"{name}.dropout", (source,), self.dropout, stream=index)


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

    def nodes(self, source: str) -> Iterator[Node]:
        """Yield the head's nodes after the node ``source``."""
        order = ("head.pool", "head.conv") if self.pool_first else ("head.conv", "head.pool")
        for name in order:
            if name == "head.pool":
                yield op.AdaptivePool(name, (source,), "average")
            else:
                kernel, padding = (self.kernel, self.kernel), (self.padding, self.padding)
                bias = "head.conv.bias" if self.bias else None
                weight = "head.conv.weight"
                yield op.Convolution(name, (source,), CLASSES, weight, bias, kernel=kernel, padding=padding)
            source = name
        yield op.Reshape("head.flatten", (source,), (CLASSES,))
        yield op.LogSoftmax("head.log_softmax", ("head.flatten",))


def _check_window(kernel: int, padding: int) -> None:
    if type(kernel) is not int or kernel not in KERNELS:  # since True == 1 and 3.0 == 3
        raise InvalidValue(f"kernel: {kernel!r}; expected one of {', '.join(map(str, KERNELS))}")
    allowed = sorted({0, kernel // 2})
    if type(padding) is not int or padding not in allowed:
        expected = " or ".join(map(str, allowed))
        raise InvalidValue(f"kernel: {kernel} with padding {padding!r}; expected padding {expected}")
