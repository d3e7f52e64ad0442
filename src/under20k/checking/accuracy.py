"""The accuracy of a student's weights, with the normalisation guessed from a few candidates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from under20k.checking.inputs import form_taken
from under20k.checking.trace import of_output
from under20k.data import Split, load, load_test

CANDIDATES = {
    "(x/255 − 0.1307) / 0.3081": (0.1307, 0.3081),
    "x/255": (0.0, 1.0),
    "(x/255 − 0.5) / 0.5": (0.5, 0.5),
    "x, from 0 to 255": (0.0, 1 / 255),
    "1 − x/255": (1.0, -1.0),
}
NEAR = 0.05  # of the guessing images: so much less right than the best may the true normalisation be
GUESSING_IMAGES = 2_000  # of the train split, so that the guess selects on nothing that is reported


def splits(name: str) -> tuple[Split, Split]:
    """The split that the normalisation is guessed on, and the one called ``name``: validation or test."""
    data = load()
    return data.train, load_test() if name == "test" else data.validation


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors by name. Nothing is unpickled but tensors and plain containers.

    Raises ValueError for another ending, and what the loaders raise.
    """
    state: Any
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    elif path.suffix in (".pth", ".pt"):
        state = torch.load(path, map_location="cpu", weights_only=True)
        for key in ("state_dict", "model_state_dict", "model"):
            if isinstance(state, dict) and isinstance(state.get(key), dict):
                state = state[key]
    else:
        raise ValueError(f"{path.name} is neither .safetensors nor .pth nor .pt")
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path.name} holds no tensors by name; save model.state_dict()")
    prefixes = ("_orig_mod.", "module.")
    for prefix in prefixes:  # of compiled and of data-parallel modules
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    loaded: dict[str, Tensor] = state
    return loaded


def measure(model: nn.Module, state: dict[str, Tensor], train: Split, measured: Split) -> dict[str, Any]:
    """How many images of ``measured`` are right under the normalisation that fits the train images best.

    That is the one whose images have the statistics that BatchNorm keeps, of those that get about the most
    right.

    Raises RuntimeError where the weights are not the model's.
    """
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise RuntimeError(f"the weights are not the model's: missing {missing}, unexpected {unexpected}")
    model.eval()
    guesses, distances = {}, {}
    for name, (mean, sd) in CANDIDATES.items():
        with _batch_norms(model) as seen:
            guesses[name] = correct(model, train, mean, sd, GUESSING_IMAGES)
        distances[name] = sum(seen) / len(seen) if seen else 0.0
    # Several may do well, for BatchNorm bears much; its statistics tell which one it was trained with.
    near = [name for name in guesses if guesses[name] >= max(guesses.values()) - NEAR * GUESSING_IMAGES]
    best = min(near, key=lambda name: (distances[name], -guesses[name]))
    right = correct(model, measured, *CANDIDATES[best])
    return {
        "split": measured.name,
        "images": len(measured),
        "correct": right,
        "accuracy": right / len(measured),
        "normalisation": best,
        "guessed_on_train_images": GUESSING_IMAGES,
        "correct_by_normalisation": guesses,
        "batch_norm_distance_by_normalisation": distances,
    }


@contextmanager
def _batch_norms(model: nn.Module) -> Iterator[list[float]]:
    """Collect how far what BatchNorm layers take is from their running statistics: 0 where it is the same.

    The distance is that of two normal distributions' means, in running standard deviations, squared, and of
    the logarithms of their variances, squared; the mean over channels.
    """
    seen: list[float] = []

    def look(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        mean, variance = layer.running_mean, layer.running_var
        if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
            return  # it keeps none
        x = arguments[0].transpose(0, 1).flatten(1)  # (C, N·H·W)
        eps = float(layer.eps)  # type: ignore[arg-type]
        shift = (x.mean(1) - mean) ** 2 / (variance + eps)
        scale = ((x.var(1, correction=0) + eps) / (variance + eps)).log() ** 2
        seen.append(float((shift + scale).mean()))

    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def correct(model: nn.Module, split: Split, mean: float, sd: float, count: int | None = None) -> int:
    """How many of the first ``count`` images (all of them for None) the model gets right."""
    images, labels = split.images[:count], split.labels[:count]
    total, form = 0, form_taken(model)
    with torch.no_grad():
        for first in range(0, len(labels), 500):
            batch = torch.from_numpy(images[first : first + 500].copy()).float().unsqueeze(1)
            output, _ = of_output(model(form.laid_out((batch / 255 - mean) / sd)), len(batch))
            predicted = output.flatten(1).argmax(1)
            total += int((predicted == torch.from_numpy(labels[first : first + 500].astype("int64"))).sum())
    return total
