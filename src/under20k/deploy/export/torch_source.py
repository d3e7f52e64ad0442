"""A network as the source of a plain PyTorch module, its layers spelled out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.recipe.architecture import CLASSES, Architecture
from under20k.recipe.blocks import Conv, Head

HEADER = '''\
"""A classifier of handwritten digits with {parameters:,} parameters, in plain PyTorch.

Its weights are in model.safetensors:

    net = Net().eval()
    net.load_state_dict(safetensors.torch.load_file("model.safetensors"))
    digits = net((images / 255 - {mean}) / {sd}).argmax(1)  # images: float32 (N, 1, 28, 28), 0 to 255

Shapes in the comments are those of one image's output: (channels, rows, columns).
"""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """Normalised images (N, 1, 28, 28) to log-probabilities (N, 10)."""

    def __init__(self):
        super().__init__()
'''
FORWARD = """
    def forward(self, x):
        return F.log_softmax(self.logits(x), dim=1)

    def logits(self, x):
"""


@dataclass(frozen=True)
class SourceLine:
    """A line of code and the comment behind it."""

    code: str
    comment: str = ""


def torch_source(architecture: Architecture) -> str:
    """Return the text of a module with the class ``Net``, whose ``state_dict`` has ``plain_names``."""
    header = HEADER.format(parameters=architecture.parameters, mean=MEAN, sd=STANDARD_DEVIATION)
    shapes = {
        layer.name: f"({', '.join(map(str, layer.shape))})"
        for layer in architecture.layers()  # that of a logit is (10,)
    }
    made = aligned(_constructor(architecture, shapes))
    computed = aligned(_forward(architecture, shapes))
    return header + made + FORWARD + computed


def aligned(lines: Iterator[SourceLine]) -> str:
    """Return indented code, comments below one another."""
    found = list(lines)
    width = max(len(line.code) for line in found if line.comment)
    texts = [f"{line.code:<{width}}  # {line.comment}" if line.comment else line.code for line in found]
    return "".join(f"        {text}\n" for text in texts)


def _constructor(architecture: Architecture, shapes: dict[str, str]) -> Iterator[SourceLine]:
    channels = 1
    for number, block in enumerate(architecture.blocks, 1):
        shape = shapes[f"blocks.{number - 1}.conv"]
        if not block.shared:
            made = _conv2d(channels, block.channels, block)
            yield SourceLine(f"self.conv{number} = {made}", shape)
        elif block.bias:
            owner = _owner(architecture, number)
            yield SourceLine(
                f"self.bias{number} = nn.Parameter(torch.zeros({block.channels}))", f"conv{owner} once more"
            )
        if block.batch_norm:
            yield SourceLine(f"self.norm{number} = nn.BatchNorm2d({block.channels})")
        if block.dropout:
            yield SourceLine(f"self.dropout{number} = nn.Dropout({block.dropout})")
        channels = block.channels
    yield SourceLine(f"self.head = {_conv2d(channels, CLASSES, architecture.head)}", shapes["head.conv"])


def _conv2d(inputs: int, outputs: int, layer: Conv | Head) -> str:
    bias = "" if layer.bias else ", bias=False"
    return f"nn.Conv2d({inputs}, {outputs}, {layer.kernel}{_options(layer)}{bias})"


def _options(layer: Conv | Head) -> str:
    """Return a convolution's keyword arguments whose values are not the defaults, after a comma."""
    values = {"padding": (layer.padding, 0)}
    if isinstance(layer, Conv):
        values = {"stride": (layer.stride, 1), **values, "groups": (layer.groups, 1)}
    return "".join(f", {name}={value}" for name, (value, default) in values.items() if value != default)


def _owner(architecture: Architecture, number: int) -> int:
    """Return the number of the block whose kernel block ``number`` uses."""
    return int(architecture.kernel_name(number - 1).split(".")[1]) + 1


def _forward(architecture: Architecture, shapes: dict[str, str]) -> Iterator[SourceLine]:
    kept = {
        number - block.residual + 1
        for number, block in enumerate(architecture.blocks, 1)
        if block.residual > 1
    }  # numbers of the blocks whose input a later one adds
    for number, block in enumerate(architecture.blocks, 1):
        if number in kept:
            yield SourceLine(f"x{number} = x")
        x = f"self.conv{number}(x)"
        if block.shared:
            bias = f"self.bias{number}" if block.bias else "None"
            weight = f"self.conv{_owner(architecture, number)}.weight"
            x = f"F.conv2d(x, {weight}, {bias}{_options(block)})"
        x = f"self.norm{number}({x})" if block.batch_norm else x
        if block.residual:
            first = number - block.residual + 1
            x += f" + x{first}" if first < number else " + x"
        yield SourceLine(f"x = F.relu({x})", shapes[f"blocks.{number - 1}.conv"])
        if block.pool:
            yield SourceLine("x = F.max_pool2d(x, 2)", shapes[f"blocks.{number - 1}.pool"])
        if block.dropout:
            yield SourceLine(f"x = self.dropout{number}(x)")
    if architecture.head.pool_first:
        yield SourceLine("x = F.adaptive_avg_pool2d(x, 1)", shapes["head.pool"])
        yield SourceLine("x = self.head(x)", shapes["head.conv"])
    else:
        yield SourceLine("x = self.head(x)", shapes["head.conv"])
        yield SourceLine("x = F.adaptive_avg_pool2d(x, 1)", shapes["head.pool"])
    yield SourceLine("return torch.flatten(x, 1)", f"({CLASSES},)")
