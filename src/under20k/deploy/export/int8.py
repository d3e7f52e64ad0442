"""A network in 8-bit integers, and a simulator of it in NumPy that the exported C equals bit for bit.

- A pixel enters as it is, from 0 to 255. 33 stands for zero, since MNIST's mean is 33.3, and fills the frame
  that pads the first layer. The rest of the mean is a constant of each channel and lies in its bias.
- Weights are symmetric, -127 to 127, with a scale for each output channel. Feature maps come from a ReLU, so
  they are 0 to 255, with a scale for each map, and zero is 0. TFLite stores the same numbers minus 128.
- Sums are int32. ``requantised`` brings them to the scale of the next map, by TFLite's fixed-point
  multiplication in its form with a single rounding.
- The logits keep 32 bits, in units of a power of two.

Shapes: N images, O and I output and input channels, K a kernel's side, H rows and W columns of a map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from under20k.deploy.export.folded import Convolution, FoldedNetwork
from under20k.deploy.export.forward import (
    Floats,
    averaged_last,
    channels_last,
    convolved,
    feature_maps,
    pooled,
)
from under20k.engine.base import MEAN, STANDARD_DEVIATION, Images
from under20k.recipe.architecture import CLASSES

MEAN_PIXEL = 255 * MEAN
ZERO_PIXEL = round(MEAN_PIXEL)
"""The pixel that stands for a normalised zero: 33."""
PIXEL_SCALE = 1 / (255 * STANDARD_DEVIATION)
LARGEST = 255
"""Of a feature map's numbers."""
LARGEST_WEIGHT = 127
LARGEST_BIAS = 2**30
"""Leaves as much for the products: even 1,024 channels and 9 times 127 times 255 stay below."""
LARGEST_FACTOR = 2.0**29
"""Of a sum: with any above 255, every sum but 0 is the largest number of a map."""
LARGEST_SHIFT = 62
LOGIT_BITS = 16
"""Logits are in units of 2⁻¹⁶, or coarser where they could leave int32."""
CLIPS = np.linspace(0.4, 1, 61)
"""What may become a map's largest value, as fractions of the largest that the images led to."""
SAMPLES = 200_000
"""Values of a map by which its clip is chosen."""
IMAGES_AT_ONCE = 100

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """A convolution in integers: all arrays are int64 here, with values of the types that are said."""

    name: str
    weight: Integers
    """(O, K, K, I), int8."""
    bias: Integers
    """(O,), int32."""
    multiplier: Integers
    """(O,), int32, 2³⁰ or more unless the shift is at its largest."""
    shift: Integers
    """(O,), 1 to 62."""
    padding: int
    pool: bool
    input_shape: tuple[int, int, int]
    """(I, H, W), for the first layer with the frame."""
    output_shape: tuple[int, int, int]
    """(O, H, W), after pooling."""


@dataclass(frozen=True)
class QuantizedNetwork:
    """All layers but the last end in a ReLU; the maps of the last one are averaged to logits."""

    layers: tuple[Layer, ...]
    frame: int
    """Width of the frame of zeros around the image: the padding of the first layer."""
    logit_bits: int
    """The logits are in units of 2 to the power of minus this."""


def quantised(network: FoldedNetwork, images: Images) -> QuantizedNetwork:
    """Return the network in integers.

    ``images``, uint8 (N, 28, 28), are training images. The scale of a map is the one that represents what
    they lead to with the smallest mean square error.
    """
    *blocks, head = averaged_last(network)
    scales = [PIXEL_SCALE, *_scales(network, images)]
    layers = [
        _layer(block, scale, next_scale, MEAN_PIXEL if block is blocks[0] else 0.0)
        for block, scale, next_scale in zip(blocks, scales, scales[1:], strict=False)
    ]
    positions = head.map_shape[1] ** 2
    bits = _logit_bits(head, scales[-1])
    layers.append(_layer(head, scales[-1], positions / 2**bits, 0.0))
    return QuantizedNetwork(tuple(layers), blocks[0].padding, bits)


def logits(network: QuantizedNetwork, images: Images) -> NDArray[np.int32]:
    """Return the integer logits of images, uint8 (N, 28, 28), as int32 (N, 10)."""
    starts = range(0, len(images), IMAGES_AT_ONCE)
    parts = [_logits(network, images[start : start + IMAGES_AT_ONCE]) for start in starts]
    return np.concatenate([np.zeros((0, CLASSES), np.int32), *parts])


def requantised(sums: Integers, multiplier: Integers, shift: Integers) -> Integers:
    """Return ``sums * multiplier / 2**shift``, rounded to the nearest integer and halves up."""
    return (sums * multiplier + (1 << (shift - 1))) >> shift


def fixed_point(factors: Floats) -> tuple[Integers, Integers]:
    """Return multipliers and shifts so that ``multiplier / 2**shift`` are the factors, from 0 to 2²⁹."""
    _, exponents = np.frexp(factors)
    shift = np.minimum(31 - exponents.astype(np.int64), LARGEST_SHIFT)
    multiplier = np.rint(np.ldexp(factors, shift)).astype(np.int64)
    full = multiplier == 2**31
    return np.where(full, 2**30, multiplier), shift - full


def _layer(convolution: Convolution, scale: float, next_scale: float, mean: float) -> Layer:
    """Return a layer for an input with this scale, of which ``mean`` stands for zero."""
    weights = channels_last(convolution.weight)
    largest = np.abs(weights).max((1, 2, 3))
    # A channel of tiny weights must not make its bias too large for int32.
    enough = np.maximum(np.abs(convolution.bias) / (scale * LARGEST_BIAS / 2), np.finfo(np.float32).tiny)
    steps = np.maximum(largest / LARGEST_WEIGHT, enough)
    rounded = np.rint(weights / steps[:, None, None, None]).astype(np.int64)
    bias = np.rint(convolution.bias / (steps * scale) - mean * rounded.sum((1, 2, 3))).astype(np.int64)
    multiplier, shift = fixed_point(np.minimum(steps * scale / next_scale, LARGEST_FACTOR))
    channels, height, width = convolution.input_shape
    frame = 2 * convolution.padding if mean else 0
    return Layer(
        convolution.name,
        rounded,
        bias,
        multiplier,
        shift,
        0 if mean else convolution.padding,
        convolution.pool,
        (channels, height + frame, width + frame),
        convolution.output_shape,
    )


def _scales(network: FoldedNetwork, images: Images) -> list[float]:
    """Return the value of a 1 in each feature map."""
    values: list[list[Floats]] = [[] for _ in network.convolutions[:-1]]
    for start in range(0, len(images), IMAGES_AT_ONCE):
        for found, maps in zip(
            values, feature_maps(network, images[start : start + IMAGES_AT_ONCE]), strict=True
        ):
            found.append(maps[maps > 0])
    return [_scale(np.concatenate(found)) for found in values]


def _scale(values: Floats) -> float:
    """Return the scale of a map with these values above 0: a clip divided by 255."""
    if not len(values):
        return 1.0
    scales = CLIPS * values.max() / LARGEST
    values = values[:: 1 + len(values) // SAMPLES]
    rounded = (np.minimum(np.rint(values / scale), LARGEST) * scale for scale in scales)
    errors = [np.square(each - values).sum() for each in rounded]
    return float(scales[int(np.argmin(errors))])


def _logit_bits(head: Convolution, scale: float) -> int:
    """Return the bits after the point with which no image can make a logit leave int32."""
    bounds = np.abs(head.weight).sum((1, 2, 3)) * LARGEST * scale + np.abs(head.bias)
    return min(LOGIT_BITS, 29 - math.frexp(float(bounds.max()))[1])


def _logits(network: QuantizedNetwork, images: Images) -> NDArray[np.int32]:
    frame = (network.frame, network.frame)
    # float64 holds these integers exactly, and multiplies matrices faster.
    maps = np.pad(images.astype(np.float64), ((0, 0), frame, frame), constant_values=ZERO_PIXEL)[..., None]
    for layer in network.layers[:-1]:
        sums = np.maximum(_sums(layer, maps), 0)
        sums = pooled(sums) if layer.pool else sums
        integers = requantised(sums.astype(np.int64), layer.multiplier, layer.shift)
        maps = np.minimum(integers, LARGEST).astype(np.float64)
    head = network.layers[-1]
    parts = requantised(_sums(head, maps).astype(np.int64), head.multiplier, head.shift)
    result: NDArray[np.int32] = parts.sum((1, 2)).astype(np.int32)
    return result


def _sums(layer: Layer, maps: Floats) -> Floats:
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    return convolved(maps, weight, bias, layer.padding)
