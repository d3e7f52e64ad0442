"""A folded network in NumPy, layer by layer: what the exporters calibrate by and simulate with.

Feature maps have their channels last, (N, H, W, C), and weights too, (O, K, K, I), as the exported C has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from under20k.deploy.export.folded import Convolution, FoldedNetwork
from under20k.engine.base import MEAN, STANDARD_DEVIATION, Images

Floats = NDArray[np.float64]


def averaged_last(network: FoldedNetwork) -> tuple[Convolution, ...]:
    """Return the layers, the last of which makes maps that are averaged to logits.

    Averaging before a 1×1 convolution or after it is the same, so every head takes the same road.
    """
    *blocks, head = network.convolutions
    if network.pool_first:
        channels, side, _ = blocks[-1].output_shape
        outputs = head.output_shape[0]
        head = replace(head, input_shape=(channels, side, side), output_shape=(outputs, side, side))
    return *blocks, head


def channels_last(weight: Floats) -> Floats:
    """Return weights (O, I, K, K) as (O, K, K, I)."""
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1))


def normalised(images: Images) -> Floats:
    """Return a network's input, (N, 28, 28, 1)."""
    result: Floats = ((images / 255 - MEAN) / STANDARD_DEVIATION)[..., None]
    return result


def convolved(maps: Floats, weight: Floats, bias: Floats, padding: int) -> Floats:
    """Return the maps that a convolution with weights (O, K, K, I) makes; padding is with zeros."""
    outputs, kernel = weight.shape[:2]
    border = (padding, padding)
    padded = np.pad(maps, ((0, 0), border, border, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
    result: Floats = np.tensordot(windows, weight.transpose(3, 1, 2, 0), axes=3) + bias
    assert result.shape[-1] == outputs
    return result


def pooled(maps: Floats) -> Floats:
    """Return the maps after 2×2 max pooling; an odd last row or column is dropped."""
    _, height, width, _ = maps.shape
    even = maps[:, : height // 2 * 2, : width // 2 * 2]
    rows = np.maximum(even[:, ::2], even[:, 1::2])
    result: Floats = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
    return result


def feature_maps(network: FoldedNetwork, images: Images) -> Iterator[Floats]:
    """Yield the output of each block, after ReLU and pooling."""
    maps = normalised(images)
    for layer in network.convolutions[:-1]:
        maps = np.maximum(convolved(maps, channels_last(layer.weight), layer.bias, layer.padding), 0)
        maps = pooled(maps) if layer.pool else maps
        yield maps
