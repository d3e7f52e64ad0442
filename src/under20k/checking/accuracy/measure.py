"""The accuracy of a student's weights, under the normalisation that they were trained with.

A state dict does not say how the inputs were normalised. Where the model has BatchNorm, the first one's
running mean and variance do: they are those of its inputs in training, so the affine map from pixels to
inputs follows by least squares over its channels. Without BatchNorm, the loss on training images decides.
Shapes: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from under20k.checking.accuracy.weights_file import WeightsError, load_weights, match
from under20k.checking.graph.trace import of_output
from under20k.checking.rules.input_form import form_taken
from under20k.data import Split, load, load_test

__all__ = ["CANDIDATES", "Normalisation", "WeightsError", "load_weights", "match", "measure", "splits"]

CANDIDATES = {
    "(x/255 − 0.1307) / 0.3081": (0.1307, 0.3081),
    "x/255": (0.0, 1.0),
    "(x/255 − 0.5) / 0.5": (0.5, 0.5),
    "x, from 0 to 255": (0.0, 1 / 255),
    "1 − x/255": (1.0, -1.0),
    "(x − 0.1307) / 0.3081, x from 0 to 255": (0.1307 / 255, 0.3081 / 255),
    "(x/255 − 0.449) / 0.226 (ImageNet's, grey)": (0.449, 0.226),
    "(x/255 − 0.485) / 0.229 (ImageNet's, red)": (0.485, 0.229),
    "(x/255 − 0.286) / 0.353 (Fashion-MNIST's)": (0.286, 0.353),
    "x/255 − 0.5": (0.5, 1.0),
    "(1 − x/255 − 0.1307) / 0.3081": (0.8693, -0.3081),
}
"""Mean and standard deviation that x/255 was normalised with."""
GUESSING_IMAGES = 2_000  # of the train split, so that the guess selects on nothing that is reported
FITTING_IMAGES = 500  # of them, for what is computed many times
SAME_LOSS = 1.25, 0.01
"""Factor and term by which a usual normalisation's loss may be above the least, to be taken for it."""
SNAP_DISTANCE = 0.005
"""And by which its distance from BatchNorm's statistics may be: training images are often augmented."""
CLEAR_DISTANCE = 0.0012  # at which no other way of making the inputs is looked at
CLEARLY_MORE = 0.01  # of the training images
POOR_DISTANCE = 0.1
POOR_ACCURACY = 0.8  # on training images, of a model without BatchNorm


@dataclass(frozen=True)
class Inputs:
    """How pixels become what is normalised: (N, 28, 28) uint8 → (N, 1, H, W), mostly x/255."""

    name: str
    """To stand behind the normalisation's name; empty for x/255 itself."""
    make: Callable[[Tensor], Tensor]
    pad: int = 0
    """Zeros on each side, after the normalisation."""
    usual: tuple[str, ...] = ("(x/255 − 0.1307) / 0.3081", "x/255", "(x/255 − 0.5) / 0.5")


def _per_image(x: Tensor) -> Tensor:
    sd, mean = torch.std_mean(x, (2, 3), keepdim=True)
    return (x - mean) / sd.clamp(min=1e-6)


INPUTS = (
    Inputs("", lambda x: x, usual=tuple(CANDIDATES)),
    Inputs("x/255 > 0.5 as 1, else 0", lambda x: (x > 0.5).float()),
    Inputs("x > 0 as 1, else 0", lambda x: (x > 0).float()),
    Inputs("each image to mean 0, sd 1", _per_image, usual=("x/255",)),
    Inputs("padded to 32×32 with background", lambda x: F.pad(x, (2, 2, 2, 2))),
    Inputs("padded to 32×32 with zeros", lambda x: x, pad=2),
    Inputs("scaled to 32×32", lambda x: F.interpolate(x, (32, 32), mode="bilinear", antialias=True)),
)


@dataclass(frozen=True)
class Normalisation:
    """What a model is given: (x/255 − mean) / std, where ``inputs`` do not say otherwise."""

    mean: float
    std: float
    inputs: Inputs = INPUTS[0]
    name: str = ""

    def __call__(self, images: NDArray[np.uint8]) -> Tensor:
        """(N, 28, 28) → (N, 1, H, W)."""
        x = self.inputs.make(torch.from_numpy(images.copy()).float().unsqueeze(1) / 255)
        return F.pad((x - self.mean) / self.std, (self.inputs.pad,) * 4)

    @property
    def text(self) -> str:
        """``(x/255 − 0.1307) / 0.3081``."""
        affine = self.name or f"(x/255 − {self.mean:.4g}) / {self.std:.4g}"
        if not self.inputs.name:
            return affine
        plain = self.name == "x/255"
        return self.inputs.name if plain else f"{affine}, {self.inputs.name}"


def splits(name: str) -> tuple[Split, Split]:
    """The split that the normalisation is found on, and the one called ``name``: validation or test."""
    data = load()
    return data.train, load_test() if name == "test" else data.validation


def measure(
    model: nn.Module,
    state: object,
    train: Split,
    measured: Split,
    normalisation: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """How many images of ``measured`` are right under ``normalisation``, the mean and standard deviation that
    x/255 is normalised with, or without one, under what is found on images of ``train``.

    Plain values. Where none is found that fits, ``warning`` says so, and there is no ``correct`` and no
    ``accuracy``. Raises WeightsError where ``state``, of ``load_weights``, is not the model's.
    """
    weights = match(state, model)
    model.load_state_dict(weights, strict=False)
    model = _Given(model).eval()
    result: dict[str, Any] = {"split": measured.name, "images": len(measured)}
    if normalisation is not None:
        mean, std = normalisation
        given = Normalisation(mean, std)
        result |= {"normalisation": given.text, "mean": mean, "std": std, "normalisation_is": "given"}
    else:
        given, found = find(model, train)
        result |= found
        if "warning" in found:
            return result
    right = correct(model, measured, given)
    return result | {"correct": right, "accuracy": right / len(measured)}


def find(model: nn.Module, train: Split) -> tuple[Normalisation, dict[str, Any]]:
    """The normalisation that ``model`` was trained with, and what shows it, as plain values."""
    images, labels = train.images[:FITTING_IMAGES], train.labels[:FITTING_IMAGES]
    with torch.no_grad():
        remembers = _batch_norm_residuals(model, Normalisation(0.0, 1.0)(images[:2])) is not None
    chosen, distance = (
        _by_batch_norm(model, images, labels) if remembers else (_by_loss(model, images, labels, train), None)
    )
    right, count = correct(model, train, chosen, GUESSING_IMAGES), min(GUESSING_IMAGES, len(train))
    found = {
        "normalisation": chosen.text,
        "mean": chosen.mean,
        "std": chosen.std,
        "normalisation_is": "found",
        "train_images": count,
        "train_correct": right,
        "batch_norm_distance": distance,
    }
    shown = f"{right / count:.1%} of {count:,} training images are right with inputs {chosen.text}"
    if distance is not None and not distance <= POOR_DISTANCE:
        found["warning"] = _warning(f"none gives what its BatchNorm remembers ({shown}, the nearest)")
    elif distance is None and right < POOR_ACCURACY * count:
        found["warning"] = _warning(f"{shown}, the most")
    return chosen, found


def _by_batch_norm(
    model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[Normalisation, float]:
    """The normalisation that gives the first BatchNorm what it remembers, and its distance from that."""
    best: tuple[float, float, Normalisation] | None = None  # distance, loss, which
    for inputs in INPUTS:
        try:
            found = _fitted(model, images, labels, inputs, math.inf if best is None else 3 * best[0])
        except Exception:
            if best is None:  # the model's own error; of images of another size it may take none
                raise
            continue
        # Others than plain x/255 need a reason.
        if best is None or (found[0] < 0.75 * best[0] and found[1] <= best[1]):
            best = found
        if best[0] < CLEAR_DISTANCE:
            break
    assert best is not None
    return best[2], best[0]


def _fitted(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    inputs: Inputs,
    worth_fitting: float,
) -> tuple[float, float, Normalisation]:
    """The best normalisation for one way of making ``inputs``, behind its distance and its loss.

    It is fitted where a usual one is no further off than ``worth_fitting``.
    """

    def residuals(mean: float, std: float) -> NDArray[np.float64]:
        found = _batch_norm_residuals(model, Normalisation(mean, std, inputs)(images))
        assert found is not None
        return found

    def distance(each: Normalisation) -> float:
        found = residuals(each.mean, each.std)
        value = float((found**2).sum() / (len(found) // 2))
        return value if math.isfinite(value) else math.inf

    usual = [Normalisation(*CANDIDATES[name], inputs, name) for name in inputs.usual]
    by_distance = sorted(((distance(each), each) for each in usual), key=lambda pair: pair[0])
    # Two maps may fit alike, such as an inverted one: from a start of either sign.
    sign = by_distance[0][1].std
    starts = [by_distance[0], *[pair for pair in by_distance if pair[1].std * sign < 0][:1]]
    fits = [
        Normalisation(*_least_squares(residuals, each.mean, each.std), inputs)
        for far, each in starts
        if math.isfinite(far) and by_distance[0][0] <= worth_fitting
    ]
    options = [*by_distance[:3], *((distance(each), each) for each in fits)]
    least = min(far for far, _ in options)
    near = [
        (far, _loss(model, each(images), labels), each)
        for far, each in options
        if far <= 2 * least + SNAP_DISTANCE
    ] or [(math.inf, math.inf, by_distance[0][1])]
    factor, term = SAME_LOSS
    limit = factor * min(loss for _, loss, _ in near) + term
    _, loss, chosen = min(
        (option for option in near if option[1] <= limit or math.isnan(limit)),
        key=lambda option: (not option[2].name, option[0]),
        default=near[0],
    )
    return least, loss, chosen


def _by_loss(
    model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: Split
) -> Normalisation:
    """The usual normalisation of the least loss, or where another is right on clearly more images, that."""

    def loss(each: Normalisation) -> float:
        found = _loss(model, each(images), labels)
        return found if math.isfinite(found) else math.inf

    usual = sorted((Normalisation(*pair, INPUTS[0], name) for name, pair in CANDIDATES.items()), key=loss)
    others = [_downhill(loss, usual[0])]
    for inputs in INPUTS[1:]:
        ways = [Normalisation(*CANDIDATES[name], inputs, name) for name in inputs.usual[:2]]
        try:
            others.append(min(ways, key=loss))
        except Exception:  # of images of another size it may take none
            continue
    best, most = usual[0], correct(model, train, usual[0], GUESSING_IMAGES)
    margin = CLEARLY_MORE * min(GUESSING_IMAGES, len(train))
    for each in others:
        # A loss alone may be lower for larger inputs, which only make the model surer.
        if (right := correct(model, train, each, GUESSING_IMAGES)) > most + margin:
            best, most = each, right
    return best


def correct(model: nn.Module, split: Split, normalisation: Normalisation, count: int | None = None) -> int:
    """How many of the first ``count`` images (all of them for None) the model gets right."""
    images, labels = split.images[:count], split.labels[:count]
    total = 0
    with torch.no_grad():
        for first in range(0, len(labels), 500):
            predicted = model(normalisation(images[first : first + 500])).argmax(1)
            total += int((predicted == torch.from_numpy(labels[first : first + 500].astype("int64"))).sum())
    return total


class _Given(nn.Module):
    """A model that takes maps of (N, 1, H, W) and gives (N, 10), whatever the one in it takes and returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.form = model, form_taken(model)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = of_output(self.model(self.form.laid_out(x)), len(x))
        return output.flatten(1)


def _warning(reason: str) -> str:
    return (
        f"no accuracy: how the inputs were normalised cannot be found, for {reason}; "
        "give it with --mean and --std"
    )


def _loss(model: nn.Module, x: Tensor, labels: NDArray[np.uint8]) -> float:
    """The mean cross-entropy, whether the model gives logits, log-probabilities or probabilities."""
    with torch.no_grad():
        out = model(x).double()
    sums = out.sum(1)
    if bool((out >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        out = out.clamp(min=1e-12).log()
    return float(F.cross_entropy(out, torch.from_numpy(labels.astype("int64"))))


class _Seen(Exception):
    """The first BatchNorm was reached."""


def _batch_norm_residuals(model: nn.Module, x: Tensor) -> NDArray[np.float64] | None:
    """How far the inputs of the first BatchNorm that keeps statistics are from these, (2·C,); None without.

    For each channel the difference of the means, in running standard deviations, and half of the logarithm
    of the ratio of the variances; so half of the sum of squares is about that of two normal distributions.
    """
    residuals: list[NDArray[np.float64]] = []

    def look(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        mean, variance = layer.running_mean, layer.running_var
        if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
            return  # it keeps none
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


def _least_squares(
    residuals: Callable[[float, float], NDArray[np.float64]], mean: float, std: float
) -> tuple[float, float]:
    """The mean and std near the given ones whose residuals are the least, by Levenberg and Marquardt."""

    def at(scale: float, offset: float) -> NDArray[np.float64]:
        # As a·x + b, in which the inputs are linear: a = ±exp(scale), b = offset·a.
        std = math.copysign(math.exp(-scale), sign)
        # Of a channel that is far off, the direction is all that counts.
        return np.clip(residuals(-offset, std), -20, 20)

    sign, damping = std, 1e-2
    point = np.array([-math.log(abs(std)), -mean])
    here = at(*point)
    for _ in range(12):
        steps = np.array([1e-3, 1e-3])
        jacobian = np.stack(
            [(at(*(point + step)) - here) / step.sum() for step in np.diag(steps)], axis=1
        )  # (2·C, 2)
        square, slope = jacobian.T @ jacobian, jacobian.T @ here
        while damping < 1e3:
            move = np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-12), slope)
            there = at(*(point - np.clip(move, -1, 1)))
            if (there**2).sum() < (here**2).sum():
                break
            damping *= 10
        else:
            break
        gain = 1 - (there**2).sum() / (here**2).sum()
        point, here, damping = point - np.clip(move, -1, 1), there, damping / 10
        if gain < 1e-4:
            break
    return -float(point[1]), math.copysign(math.exp(-float(point[0])), sign)


def _downhill(loss: Callable[[Normalisation], float], start: Normalisation) -> Normalisation:
    """The normalisation near ``start`` of the least loss, by a search in ever smaller steps."""
    best, step = (loss(start), start), 0.5
    while step > 0.1:
        mean, std = best[1].mean, best[1].std
        around = [
            Normalisation(*pair, start.inputs)
            for pair in (
                (mean, std * (1 + step)),
                (mean, std / (1 + step)),
                (mean + step * abs(std), std),
                (mean - step * abs(std), std),
            )
        ]
        found = min(((loss(each), each) for each in around), key=lambda pair: pair[0])
        if found[0] < best[0] * 0.99:
            best = found
        else:
            step /= 2
    return best[1]
