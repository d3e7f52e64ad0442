"""A model of the user's that only PyTorch can train, as the torch engine takes it.

Shapes: n images of a batch.
"""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import under20k
from under20k.engine.module_mode import set_training
from under20k.engine.torch_transforms import PlannedDropout
from under20k.errors import UserError
from under20k.recipe.architecture import CLASSES

_TORCH, _PACKAGE = (os.path.join(os.path.dirname(p.__file__ or ""), "") for p in (torch, under20k))
CHANNEL_DROPOUTS = ("dropout1d", "dropout2d", "dropout3d", "feature_dropout")
DROPOUTS = ("dropout", *CHANNEL_DROPOUTS)
"""Functions whose masks follow the plan, by name without the underscore of the in-place ones."""
ALPHA_DROPOUTS = ("alpha_dropout", "feature_alpha_dropout")
"""Functions whose masks are random numbers of their own; they drop nothing unless told to."""


class ModuleSource(Protocol):
    """Where a model comes from. It can be pickled, unless it holds a function that cannot."""

    @property
    def layout(self) -> str:
        """Return the form of the images that it takes; see ``laid_out``."""

    def load(self) -> nn.Module:
        """Return the model, newly made."""


class ModuleNetwork(nn.Module):
    """A model as a network of the engine: (n, 1, 28, 28) normalised images → (n, 10).

    Its tensors have the model's own names. Dropout follows the plan's masks, in the order of its calls, and
    all other random numbers follow from the plan's seed.
    """

    def __init__(self, module: nn.Module, layout: str = "maps") -> None:
        super().__init__()
        self.module = module
        self.layout = layout
        self.seed = 0
        self.step = 0
        self.positions = torch.empty(0, dtype=torch.int32)

    def set_batch(self, seed: int, positions: Tensor) -> None:
        """Set the epoch's dropout seed and the images' positions in the epoch, int32 (n,)."""
        self.seed, self.positions = seed, positions

    def train(self, mode: bool = True) -> ModuleNetwork:
        """Set the mode of the model, which may have a method of its own of this name."""
        self.training = mode
        set_training(self.module, mode)
        return self

    def logits(self, images: Tensor) -> Tensor:
        """Return the output for the classes; log-probabilities and probabilities are left as they are."""
        seed = (self.seed ^ self.step * 0x9E3779B9) % 2**32 if self.training else 0
        with seeded(seed), PlannedMasks(self.seed, self.positions, self.training):
            return classes_of(self.module(laid_out(images, self.layout)), len(images))

    forward = logits

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.module.state_dict(*args, **kwargs)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        return self.module.named_parameters(*args, **kwargs)


class PlannedMasks(TorchFunctionMode):
    """Gives every active call of dropout the plan's mask of its number; others it leaves alone.

    At evaluation, a call that the model has left active drops nothing, so that figures are not random.
    """

    def __init__(self, seed: int, positions: Tensor, training: bool) -> None:
        super().__init__()
        self.seed, self.positions, self.training = seed, positions, training
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        kind = name.rstrip("_")
        if kind == "scaled_dot_product_attention" and not self.training:
            if len(args) > 4:
                return func(*args[:4], 0.0, *args[5:], **kwargs)
            return func(*args, **kwargs | {"dropout_p": 0.0})
        if kind not in (*DROPOUTS, *ALPHA_DROPOUTS):
            return func(*args, **kwargs)
        given = dict(zip(("input", "p", "training", "inplace"), args, strict=False)) | kwargs
        active = given.get("training", given.get("train", kind in DROPOUTS))
        if not active or (self.training and kind in ALPHA_DROPOUTS):
            return func(*args, **kwargs)
        x: Tensor = given["input"]
        if not self.training:
            return x
        channels = kind in CHANNEL_DROPOUTS
        dropout = PlannedDropout(self.calls, float(given.get("p", 0.5)), channels).to(x.device)
        dropout.set_batch(self.seed, self.positions)
        self.calls += 1
        dropped = dropout(x) if dropout.probability < 1 else x * 0
        return x.copy_(dropped) if name != kind or given.get("inplace") else dropped


@contextmanager
def blamed(network: object) -> Iterator[None]:
    """Raise UserError for an error in the body that the code of a user's model is to blame for."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not isinstance(network, ModuleNetwork):
            raise
        text = " ".join(str(error).split())
        name = type(network.module).__name__
        raise UserError(
            f"{name} fails in training: {type(error).__name__}: {text:.300}{_line(error)}"
        ) from error


def _line(error: BaseException) -> str:
    """Return the line of the model's code that an error came through, in brackets; empty if none is known."""
    outside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", _TORCH, _PACKAGE))
    ]
    return f" ({os.path.basename(outside[-1].filename)}:{outside[-1].lineno})" if outside else ""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of torch, NumPy and Python, and restore their state afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - a model may use it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def laid_out(images: Tensor, layout: str) -> Tensor:
    """Return maps (n, C, H, W) in the form that a model takes.

    ``maps`` are left as they are, ``flat`` are n×(C·H·W), ``rows`` n×(C·H)×W, ``channels last`` n×H×W×C.
    """
    if layout == "flat":
        return images.flatten(1)
    if layout == "rows":
        return images.flatten(1, 2)
    return images.permute(0, 2, 3, 1) if layout == "channels last" else images


def classes_of(given: Any, images: int) -> Tensor:
    """Return the tensor of classes, (n, 10), in a model's output: the first that has ten numbers an image."""
    for tensor in _tensors_in(given):
        if len(tensor) == images and tensor.numel() == images * CLASSES:
            return tensor.reshape(images, CLASSES)
    raise ValueError(f"the model's output has no tensor of shape ({images}, {CLASSES})")


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor) and value.dim():
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)
