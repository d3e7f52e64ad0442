"""What a model is: convolution blocks and a head, and everything that can be counted about them.

Pure Python: no torch, no files. Shapes: C channels, H rows, W columns of one image's activations.

An architecture is also written as a line of text, blocks separated by commas, the head after a bar::

    8,12p,14,16p,20v,24v|3v        the specification's minimal model

A block is its number of channels, then any of ``k1`` (1×1 kernel; 3×3 without it), ``v`` (padding 0,
"valid"; otherwise the padding keeps the size), ``s`` (shared: by the weights of the block before, its bias
and BatchNorm its own), ``n`` (no BatchNorm), ``u`` (no bias), ``p`` (2×2 max pooling), ``d0.05`` (dropout).
The head is ``3``, ``3v`` or ``1`` (a convolution to 10 maps, then global average pooling) or ``l`` (global
average pooling, then a 1×1 convolution), with ``u`` for no bias.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from under20k.errors import InvalidValue

IMAGE_SIDE = 28  # pixels; MNIST's images are square
CLASSES = 10
MAX_CHANNELS = 1024
MAX_BLOCKS = 32


@dataclass(frozen=True, slots=True)
class Conv:
    """A block: convolution → BatchNorm → ReLU → 2×2 max pooling → dropout, the parts present as flagged."""

    channels: int
    kernel: int = 3
    padding: int = 1
    batch_norm: bool = True
    pool: bool = False
    dropout: float = 0.0
    bias: bool = True
    shared: bool = False
    """Whether the convolution's weights are those of the block before, which count once."""

    def __post_init__(self) -> None:
        _require_int("channels", self.channels, 1, MAX_CHANNELS)
        _check_window(self.kernel, self.padding)
        for name in ("batch_norm", "pool", "bias", "shared"):
            _require_bool(name, getattr(self, name))
        _require_fraction("dropout", self.dropout)
        object.__setattr__(self, "dropout", float(self.dropout))  # NumPy's floats are written otherwise

    def __str__(self) -> str:
        return (
            f"{self.channels}{_window_text(self.kernel, self.padding)}{'s' if self.shared else ''}"
            f"{'' if self.batch_norm else 'n'}{'' if self.bias else 'u'}{'p' if self.pool else ''}"
            f"{f'd{self.dropout!r}' if self.dropout else ''}"
        )


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a network, which turns the last block's maps into 10 logits.

    With ``pool_first`` false, a convolution gives 10 maps and their global average is taken; with it
    true, the global average of the maps comes first and a 1×1 convolution gives the logits.
    """

    kernel: int = 3
    padding: int = 0
    pool_first: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        _check_window(self.kernel, self.padding)
        for name in ("pool_first", "bias"):
            _require_bool(name, getattr(self, name))
        if self.pool_first and (self.kernel, self.padding) != (1, 0):
            raise InvalidValue(
                f"head: kernel {self.kernel} with padding {self.padding} after global average pooling; "
                "allowed is kernel 1 with padding 0, for the map is 1×1"
            )

    def __str__(self) -> str:
        window = "l" if self.pool_first else "1" if self.kernel == 1 else f"3{'v' * (not self.padding)}"
        return window + ("" if self.bias else "u")


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of an architecture's table. The counts are for a single image.

    ``receptive_field`` and ``jump`` are in input pixels: the side of the square of input pixels that one
    output element depends on, and the distance between the squares of neighbouring elements.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: int
    jump: int

    @property
    def activation_bytes(self) -> int:
        """Memory of the output in float32, for one image."""
        return 4 * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Blocks from the image (1, 28, 28) onwards, then a head that gives 10 log-probabilities."""

    blocks: tuple[Conv, ...]
    head: Head = field(default_factory=Head)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not 1 <= len(self.blocks) <= MAX_BLOCKS:
            raise InvalidValue(f"blocks: {len(self.blocks)} given; allowed are 1 to {MAX_BLOCKS}")
        for _ in self.layers():  # raises where a map would become empty, or weights do not fit another block
            pass

    def __str__(self) -> str:
        return ",".join(map(str, self.blocks)) + "|" + str(self.head)

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The architecture written as ``text`` in this module's notation. Raises InvalidValue."""
        body, bar, head_text = text.replace(" ", "").partition("|")
        if not bar:
            raise InvalidValue(f"{text!r} has no head; end it with |3v, |3, |1 or |l")
        return cls(tuple(_parse_block(block) for block in body.split(",")), _parse_head(head_text))

    def layers(self) -> Iterator[Layer]:
        """Every layer in the order of computation, under the names of the PyTorch module."""
        yield from _Walk().through(self)

    @property
    def parameters(self) -> int:
        """Trainable parameters in all."""
        return sum(layer.parameters for layer in self.layers())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the convolutions for one image, padding counted as PyTorch counts it."""
        return sum(layer.macs for layer in self.layers())

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the input square behind each element of the maps that are averaged at the end.

        It counts padding: a field wider than the image covers the image.
        """
        layers = itertools.takewhile(lambda layer: layer.name != "head.pool", self.layers())
        return max(layer.receptive_field for layer in layers)

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights, as in the PyTorch module's ``state_dict`` (floats only)."""
        tensors: dict[str, tuple[int, ...]] = {}
        channels = 1
        for index, block in enumerate(self.blocks):
            name = f"blocks.{index}"
            if not block.shared:
                tensors[f"{name}.conv.weight"] = (block.channels, channels, block.kernel, block.kernel)
            if block.bias:
                tensors[f"{name}.conv.bias"] = (block.channels,)
            if block.batch_norm:
                for part in ("weight", "bias", "running_mean", "running_var"):
                    tensors[f"{name}.batch_norm.{part}"] = (block.channels,)
            channels = block.channels
        tensors["head.conv.weight"] = (CLASSES, channels, self.head.kernel, self.head.kernel)
        if self.head.bias:
            tensors["head.conv.bias"] = (CLASSES,)
        return tensors

    def kernel_name(self, index: int) -> str:
        """The tensor that block ``index``, counted from 0, convolves with: its own, or one that it shares."""
        while self.blocks[index].shared:
            index -= 1
        return f"blocks.{index}.conv.weight"


class _Walk:
    """Follows one image through an architecture, keeping shape, receptive field and jump."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (1, IMAGE_SIDE, IMAGE_SIDE)
        self.field = 1
        self.jump = 1
        self.kernel = ""  # of the last convolution, in words

    def through(self, architecture: Architecture) -> Iterator[Layer]:
        for index, block in enumerate(architecture.blocks):
            name = f"blocks.{index}"
            yield self.conv(
                f"{name}.conv", block.channels, block.kernel, block.padding, block.bias, block.shared
            )
            if block.batch_norm:
                yield self.same(f"{name}.batch_norm", "BatchNorm2d", parameters=2 * block.channels)
            yield self.same(f"{name}.relu", "ReLU")
            if block.pool:
                yield self.pool(f"{name}.pool")
            if block.dropout:
                yield self.same(f"{name}.dropout", "Dropout")
        head = architecture.head
        if head.pool_first:
            yield self.global_pool("head.pool")
            yield self.conv("head.conv", CLASSES, 1, 0, head.bias)
        else:
            yield self.conv("head.conv", CLASSES, head.kernel, head.padding, head.bias)
            yield self.global_pool("head.pool")
        self.shape = (CLASSES,)
        yield self.same("head.log_softmax", "LogSoftmax")

    def conv(
        self, name: str, channels: int, kernel: int, padding: int, bias: bool, shared: bool = False
    ) -> Layer:
        inputs, height, width = self.shape
        height, width = height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1
        if height < 1:
            raise InvalidValue(
                f"{name}: a {kernel}×{kernel} kernel with padding {padding} does not fit a map of "
                f"{self.shape[1]}×{self.shape[2]}; pool less or pad more"
            )
        weights = channels * inputs * kernel * kernel
        before, self.kernel = self.kernel, f"{kernel}×{kernel} kernel from {inputs} to {channels} channels"
        if shared and before != self.kernel:
            raise InvalidValue(
                f"{name}: a {self.kernel} cannot share the weights of "
                f"{f'a {before}' if before else 'a block before it, for it is the first'}; leave out its s"
            )
        self.shape = (channels, height, width)
        self.field += (kernel - 1) * self.jump
        own = weights * (not shared) + bias * channels
        return self.row(name, "SharedConv2d" if shared else "Conv2d", own, weights * height * width)

    def pool(self, name: str) -> Layer:
        channels, height, width = self.shape
        if height < 2:
            raise InvalidValue(f"{name}: 2×2 pooling of a map of {height}×{width}; pool less or pad more")
        self.shape = (channels, height // 2, width // 2)
        self.field += self.jump
        self.jump *= 2
        return self.row(name, "MaxPool2d")

    def global_pool(self, name: str) -> Layer:
        channels, height, _ = self.shape
        self.shape = (channels, 1, 1)
        self.field += (height - 1) * self.jump
        return self.row(name, "AdaptiveAvgPool2d")

    def same(self, name: str, kind: str, parameters: int = 0) -> Layer:
        return self.row(name, kind, parameters)

    def row(self, name: str, kind: str, parameters: int = 0, macs: int = 0) -> Layer:
        return Layer(name, kind, self.shape, parameters, macs, self.field, self.jump)


def _window_text(kernel: int, padding: int) -> str:
    if kernel == 1:
        return "k1"
    return "" if padding else "v"


def _parse_block(text: str) -> Conv:
    match = re.fullmatch(r"(\d{1,6})(k1)?(v)?(s)?(n)?(u)?(p)?(?:d(\d*\.?\d+(?:e-\d+)?))?", text)
    if match is None:
        raise InvalidValue(f"block {text!r} is not channels, then any of k1 v s n u p d0.05, in that order")
    channels, one, valid, shared, bare, unbiased, pool, dropout = match.groups()
    kernel = 1 if one else 3
    padding = 0 if one or valid else 1
    return Conv(
        int(channels), kernel, padding, not bare, bool(pool), float(dropout or 0), not unbiased, bool(shared)
    )


def _parse_head(text: str) -> Head:
    window, unbiased = (text[:-1], True) if text.endswith("u") else (text, False)
    known = {"l": (1, 0, True), "1": (1, 0, False), "3": (3, 1, False), "3v": (3, 0, False)}
    if window not in known:
        raise InvalidValue(f"head {text!r} is none of 3v, 3, 1 and l, with u after it for no bias")
    kernel, padding, pool_first = known[window]
    return Head(kernel, padding, pool_first, not unbiased)


def _check_window(kernel: int, padding: int) -> None:
    whole = type(kernel) is int and type(padding) is int  # for True equals 1, and 3.0 equals 3
    if not whole or (kernel, padding) not in {(1, 0), (3, 0), (3, 1)}:
        raise InvalidValue(
            f"kernel: {kernel!r} with padding {padding!r}; allowed are 1 with padding 0, 3 with 0 or 1"
        )


def _require_int(field: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidValue(f"{field}: {value!r}; allowed are whole numbers from {low} to {high}")


def _require_bool(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidValue(f"{field}: {value!r}; allowed are true and false")


def _require_fraction(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InvalidValue(f"{field}: {value!r}; allowed is a number from 0 up to, but not, 1")
