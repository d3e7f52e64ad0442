"""Prove a graph: the same steps by the module itself, by its graph in PyTorch, and by the native engine.

Each starts from the module's weights, takes the same batches and the same dropout masks. Compared are losses,
gradients, the tensors that a step changes by itself (running statistics), and logits at evaluation.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from under20k.checking.convert.prove_native import native_difference
from under20k.checking.convert.reasons import NotConvertible
from under20k.checking.graph.form import Form
from under20k.checking.graph.unchanged import unchanged
from under20k.checking.rules.input_form import run
from under20k.engine.base import MEAN, STANDARD_DEVIATION
from under20k.engine.graph_module import GraphModule
from under20k.engine.module_network import ModuleNetwork
from under20k.engine.torch_transforms import PlannedDropout
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE
from under20k.recipe.graph.graph import Graph

TOLERANCE = 1e-4
"""Largest difference, relative to the largest value of its kind."""
BATCHES = (24, 9)
"""Images of the steps."""
SEED = 20_000
RATE = 1e-3

Tensors = dict[str, Tensor]
Pixels = NDArray[np.uint8]


@dataclass
class Steps:
    """What a few steps gave."""

    losses: list[Tensor]
    gradients: list[Tensors]
    state: Tensors
    outputs: Tensor
    """At evaluation, after the steps."""


def prove(module: nn.Module, graph: Graph, form: Form | None = None) -> None:
    """Compare a module with its graph; the module is left as it was.

    Args:
        module: the model.
        graph: what ``convert`` made of it.
        form: of the images that it takes; found by trying if None.

    Raises:
        NotConvertible: the graph computes something else.
        Exception: whatever the model raises.
    """
    with unchanged(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        form = form or run(module).form
        try:
            expected = _steps(_own(module, form).double())
            dtype = torch.float64
        except RuntimeError:  # its code has a type of its own
            expected, dtype = _steps(_own(module, form)), torch.float32
        trained = graph.trained() & {name for name, p in module.named_parameters() if p.requires_grad}
        found = _steps(_interpreter(module, graph, trained).to(dtype))
    if what := difference(expected, found):
        raise NotConvertible(f"{type(module).__name__}.forward is not what a run of it shows: {what}")
    weights = {name: module.state_dict()[name].float().numpy() for name in graph.tensors()}
    # Where a value lies on the corner of a function, rounding decides; so one batch in agreement is enough.
    native = (native_difference(graph, weights, trained, *batch, TOLERANCE) for batch in _batches())
    if (what := next(native)) and next(native):
        raise NotConvertible(f"{type(module).__name__}: {what}")


def difference(expected: Steps, found: Steps) -> str:
    """Return which of two results differ by more than ``TOLERANCE``, empty if none does."""
    name = "its graph gives another"
    for step, (loss, other) in enumerate(zip(expected.losses, found.losses, strict=True), 1):
        if not _agree(loss, other):
            return f"{name} loss, {other:g} and not {loss:g} at step {step}"
    for gradients, others in zip(expected.gradients, found.gradients, strict=True):
        largest = max((float(value.abs().max()) for value in gradients.values()), default=0.0)
        for tensor in sorted(gradients.keys() | others.keys()):
            ours, theirs = gradients.get(tensor), others.get(tensor)
            if ours is None or theirs is None or not _agree(ours, theirs, largest):
                return f"{name} gradient of {tensor}"
    for tensor, value in expected.state.items():
        if tensor in found.state and not _agree(value, found.state[tensor]):
            return f"{name} {tensor} after the steps"
    if not _agree(expected.outputs, found.outputs):
        return f"{name} output at evaluation"
    return ""


def _agree(ours: Tensor, theirs: Tensor, least: float = 0.0) -> bool:
    """Return whether two tensors are as close as they must be; of size ``least`` at the least."""
    if ours.shape != theirs.shape or not bool(torch.isfinite(theirs).all()):
        return False
    if not ours.numel():
        return True
    size = max(float(ours.abs().max()), least)
    return float((ours.double() - theirs.double()).abs().max()) <= TOLERANCE * size + 1e-12


def _own(module: nn.Module, form: Form) -> ModuleNetwork:
    """Return a copy of the module that has trained on nothing yet."""
    network = ModuleNetwork(copy.deepcopy(module), form.layout)
    for name, count in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            count.zero_()
    return network


def _interpreter(module: nn.Module, graph: Graph, trained: set[str]) -> GraphModule:
    network = GraphModule(graph, trained=trained)
    state = module.state_dict()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(state[name])
    return network


def _steps(network: ModuleNetwork | GraphModule) -> Steps:
    dtype = next((p.dtype for p in network.parameters()), torch.float32)
    trained = dict(network.named_parameters())
    result = Steps([], [], {}, torch.empty(0))
    network.train()
    for step, (images, labels) in enumerate(_batches()):
        x, y = _normalised(images, dtype), torch.from_numpy(labels).long()
        for part in network.modules():
            if isinstance(part, PlannedDropout | ModuleNetwork):
                part.set_batch(SEED + step, torch.arange(len(images), dtype=torch.int32))
        network.step = step
        loss = F.cross_entropy(network.logits(x), y)
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}
        result.losses.append(loss.detach())
        result.gradients.append(gradients)
        with torch.no_grad():
            for name, gradient in gradients.items():
                trained[name].sub_(RATE * gradient)
    result.state = {name: value.clone() for name, value in network.state_dict().items()}
    network.eval()
    with torch.no_grad():
        result.outputs = torch.cat([network(_normalised(images, dtype)) for images, _ in _batches()])
    return result


def _batches() -> Iterator[tuple[Pixels, Pixels]]:
    """Yield images uint8 (n, 28, 28) and labels uint8 (n,): bright blobs on black, then noise."""
    generator = np.random.default_rng(SEED)
    for step, count in enumerate(BATCHES):
        noise = generator.random((count, IMAGE_SIDE, IMAGE_SIDE))
        if step == 0:
            around = [np.roll(noise, (y, x), (1, 2)) for y in range(-2, 3) for x in range(-2, 3)]
            noise = ((np.mean(around, axis=0) - 0.5) * 8).clip(0, 1)
        yield (noise * 255).astype(np.uint8), generator.integers(CLASSES, size=count, dtype=np.uint8)


def _normalised(pixels: Pixels, dtype: torch.dtype) -> Tensor:
    return ((torch.from_numpy(pixels).to(dtype) / 255 - MEAN) / STANDARD_DEVIATION).unsqueeze(1)
