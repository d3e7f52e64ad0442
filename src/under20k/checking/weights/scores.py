"""How well a normalisation fits a model: correct images, loss, distance from BatchNorm's statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from under20k.checking.weights.normalisation import Normalisation
from under20k.data import Split


def count_correct(
    model: nn.Module, split: Split, normalisation: Normalisation, count: int | None = None
) -> int:
    """Count the images that the model gets right, of the first ``count`` or of all for None."""
    images, labels = split.images[:count], split.labels[:count]
    total = 0
    with torch.no_grad():
        for first in range(0, len(labels), 500):
            predicted = model(normalisation(images[first : first + 500])).argmax(1)
            total += int((predicted == torch.from_numpy(labels[first : first + 500].astype("int64"))).sum())
    return total


def mean_loss(model: nn.Module, x: Tensor, labels: NDArray[np.uint8]) -> float:
    """Return the mean cross-entropy, whether the model gives logits, log-probabilities or probabilities."""
    with torch.no_grad():
        out = model(x).double()
    sums = out.sum(1)
    if bool((out >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        out = out.clamp(min=1e-12).log()
    return float(F.cross_entropy(out, torch.from_numpy(labels.astype("int64"))))


class _Seen(Exception):
    """The first BatchNorm was reached."""


def batch_norm_residuals(model: nn.Module, x: Tensor) -> NDArray[np.float64] | None:
    """Return how far the inputs of the first BatchNorm are from its running statistics, (2·C,).

    For each of its C channels the difference of the means, in running standard deviations, and the logarithm
    of the ratio of the variances. None if no BatchNorm keeps statistics.
    """
    residuals: list[NDArray[np.float64]] = []

    def look(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        mean, variance = layer.running_mean, layer.running_var
        if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
            return  # it keeps no statistics
        inputs = arguments[0]  # (N, C, …)
        own = torch.var_mean(inputs, [0, *range(2, inputs.ndim)], correction=0)
        own_variance, own_mean = (each.double() for each in own)
        eps = float(layer.eps)  # type: ignore[arg-type]
        mean, variance = mean.double(), variance.double().clamp(min=0)
        shift = (own_mean - mean) / (variance + eps).sqrt()
        scale = ((own_variance + eps) / (variance + eps)).log()
        residuals.append(torch.cat([shift, scale]).numpy())
        raise _Seen

    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with torch.no_grad():
            model(x)
    except _Seen:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return residuals[0] if residuals else None
