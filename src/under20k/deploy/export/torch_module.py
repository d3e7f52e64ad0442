"""The format ``torch``: a PyTorch module without under20k, and its weights.

PyTorch is needed to measure, not to export.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load

from under20k.deploy.calibration import softmax
from under20k.deploy.export.formats import Material
from under20k.deploy.export.proof import ExportError, Logits, Measured, NotRun
from under20k.deploy.export.torch_graph_source import torch_graph_source
from under20k.deploy.export.torch_source import torch_source
from under20k.deploy.graph import graph_of
from under20k.deploy.hub_files import WEIGHTS, plain_safetensors
from under20k.deploy.model import Model
from under20k.engine.base import MEAN, STANDARD_DEVIATION, Images
from under20k.recipe.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

FILE = "model.py"
BATCH = 500
TIMED, WARM_UP = 300, 30  # images, one at a time


def export(model: Model, folder: Path, material: Material) -> Sequence[Path]:
    """Write the module and its weights."""
    graph_of(model)  # raises where there is none
    network = model.recipe.architecture
    source = torch_source(network) if isinstance(network, Architecture) else torch_graph_source(network)
    (folder / FILE).write_text(source, encoding="utf-8", newline="\n")
    (folder / WEIGHTS).write_bytes(plain_safetensors(model.recipe, model.weights))
    return [folder / FILE, folder / WEIGHTS]


def measure(model: Model, folder: Path, images: Images) -> Measured:
    """Run the module in PyTorch, loaded strictly."""
    try:
        import torch
    except ImportError as error:
        raise NotRun(f"PyTorch cannot be loaded ({error})") from error
    with one_thread():
        net = load_net(folder)
        logits, log_probabilities = _outputs(net, images)
        latency_s = _latency_s(net, images)
    runtime = f"PyTorch {torch.__version__}, CPU, 1 thread"
    # The logits at the model's temperature, from what the module itself returns.
    return Measured(runtime, latency_s, logits, softmax(log_probabilities, model.temperature))


def load_net(folder: Path) -> nn.Module:
    """Return ``Net`` of an exported module with its weights, in evaluation mode.

    Raises ExportError if the weights do not fit.
    """
    import torch

    names: dict[str, Any] = {"__name__": "exported"}
    source = (folder / FILE).read_text(encoding="utf-8")
    exec(compile(source, str(folder / FILE), "exec"), names)  # what ``export`` has just written
    net: nn.Module = names["Net"]()
    weights = load((folder / WEIGHTS).read_bytes())
    try:
        net.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    except RuntimeError as error:
        raise ExportError(f"{WEIGHTS} does not fit {FILE}: {error}") from error
    return net.eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep PyTorch to one thread, without gradients, for the block."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


def _outputs(net: Any, images: Images) -> tuple[Logits, Logits]:
    """Return logits and log-probabilities (N, 10)."""
    batches = [_normalised(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    logits = np.concatenate([net.logits(batch).numpy() for batch in batches])
    return logits, np.concatenate([net(batch).numpy() for batch in batches])


def _normalised(images: Images) -> Any:
    import torch

    return (torch.tensor(images[:, None]).float() / 255 - MEAN) / STANDARD_DEVIATION


def _latency_s(net: nn.Module, images: Images) -> float:
    """Return the median time of one image, from uint8 pixels."""
    times = []
    for i in range(TIMED + WARM_UP):
        start = time.perf_counter()
        net(_normalised(images[i % len(images)][None]))
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])
