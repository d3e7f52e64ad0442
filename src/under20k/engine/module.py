"""An architecture as a PyTorch module: the readable reference for every engine.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from under20k.recipe.architecture import CLASSES, Architecture
from under20k.recipe.blocks import Conv, Head

DropoutFactory = Callable[[int, float], nn.Module]
"""Makes a dropout layer, given the index of its block and the probability."""


def plain_dropout(index: int, probability: float) -> nn.Module:
    """Make PyTorch's own dropout, per element."""
    return nn.Dropout(probability)


class Network(nn.Module):
    """(N, 1, 28, 28) normalised images → (N, 10) log-probabilities."""

    def __init__(self, architecture: Architecture, dropout: DropoutFactory = plain_dropout) -> None:
        super().__init__()
        blocks: list[Block] = []
        channels, source = 1, None
        for index, block in enumerate(architecture.blocks):
            conv = convolution(channels, block, source)
            blocks.append(conv_block(conv, block, index, dropout))
            channels = block.channels
            source = conv if isinstance(conv, nn.Conv2d) else source
        self.blocks = Blocks(*blocks)
        self.head = head(channels, architecture.head)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(images))
        return out

    def logits(self, images: Tensor) -> Tensor:
        """Compute logits, (N, 1, 28, 28) → (N, 10): the output before the log-softmax."""
        out: Tensor = self.head[:-1](self.blocks(images))
        return out


class Block(nn.Sequential):
    """The layers of a block; the layer ``add``, if there is one, takes ``shortcut``, too."""

    def __init__(self, layers: OrderedDict[str, nn.Module], residual: int) -> None:
        super().__init__(layers)
        self.residual = residual
        """Number of blocks, this one the last, whose input is the shortcut; 0 without one."""

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, shortcut) if isinstance(layer, Add) else layer(x)
        return x


class Blocks(nn.Sequential):
    """Blocks one after the other, each with its shortcut; (N, 1, 28, 28) → (N, C, H, W)."""

    def __init__(self, *blocks: Block) -> None:
        super().__init__(*blocks)
        self.kept = max(1, *(block.residual for block in blocks))
        """Number of inputs that a later block may still add."""

    def forward(self, x: Tensor) -> Tensor:
        inputs: deque[Tensor] = deque(maxlen=self.kept)
        for block in self:
            assert isinstance(block, Block)
            inputs.append(x)
            x = block(x, inputs[-block.residual]) if block.residual else block(x)
        return x


class Add(nn.Module):
    """The sum of two values of one shape."""

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        return x + shortcut


class SharedConv2d(nn.Module):
    """A convolution with the weights of ``source`` and its own bias; (N, C, H, W) → (N, C', H', W')."""

    def __init__(self, source: nn.Conv2d, block: Conv) -> None:
        super().__init__()
        # In a tuple, so that it is not a submodule here: each tensor has one name, its owner's.
        self.source = (source,)
        self.stride, self.padding, self.groups = block.stride, block.padding, block.groups
        self.bias = nn.Parameter(torch.zeros(source.out_channels)) if block.bias else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.source[0].weight
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, groups=self.groups)


def convolution(inputs: int, block: Conv, source: nn.Conv2d | None) -> nn.Conv2d | SharedConv2d:
    """Make a block's convolution.

    Args:
        inputs: number of input channels.
        block: supplies everything else.
        source: the last convolution before it with its own weights, for a block that shares them.
    """
    if block.shared:
        assert source is not None  # guaranteed by Architecture
        return SharedConv2d(source, block)
    return nn.Conv2d(
        inputs,
        block.channels,
        block.kernel,
        block.stride,
        block.padding,
        groups=block.groups,
        bias=block.bias,
    )


def conv_block(conv: nn.Module, block: Conv, index: int, dropout: DropoutFactory) -> Block:
    """Make the layers of a block, (N, inputs, H, W) → (N, block.channels, H', W').

    Args:
        conv: the block's convolution.
        block: says which other layers there are.
        index: of the block, for ``dropout``.
        dropout: makes the dropout layer.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = conv
    if block.batch_norm:
        layers["batch_norm"] = nn.BatchNorm2d(block.channels)
    if block.residual:
        layers["add"] = Add()
    layers["relu"] = nn.ReLU()
    if block.pool:
        layers["pool"] = nn.MaxPool2d(2)
    if block.dropout:
        layers["dropout"] = dropout(index, block.dropout)
    return Block(layers, block.residual)


def head(inputs: int, head: Head) -> nn.Sequential:
    """Make the layers of a head, (N, inputs, H, W) → (N, 10) log-probabilities."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    conv = nn.Conv2d(inputs, CLASSES, head.kernel, padding=head.padding, bias=head.bias)
    if head.pool_first:
        layers["pool"], layers["conv"] = nn.AdaptiveAvgPool2d(1), conv
    else:
        layers["conv"], layers["pool"] = conv, nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(layers)


def build(architecture: Architecture, weights: dict[str, Tensor] | None = None) -> Network:
    """Build a network in evaluation mode, with ``weights``, named as in its ``state_dict``, if given."""
    network = Network(architecture)
    if weights is not None:
        network.load_state_dict(weights)
    return network.eval()
