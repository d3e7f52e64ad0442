"""Record the computation of a PyTorch model on one small batch.

A ``TorchFunctionMode`` sees every call of a torch function with its arguments, whether a module or the
model's own code makes it. ``torch.fx`` and ``torch.export`` refuse branches on values, and a graph exported
in evaluation mode has lost its dropout; a real run takes whatever runs. Its price: only the path that this
batch took is seen.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from under20k.checking.findings import ModelError
from under20k.checking.graph.form import Form
from under20k.checking.graph.node import Node
from under20k.checking.graph.recorder import Recorder, tensors_in
from under20k.engine.module_mode import set_training
from under20k.recipe.architecture import CLASSES


@dataclass(frozen=True)
class Trace:
    """The calls of one run of a model."""

    nodes: list[Node]
    """The calls that the output depends on, in order."""
    output: tuple[int, ...]
    """The output's shape, with N."""
    unused: int
    """Number of parameters that no call took."""
    note: str = ""
    """The tensor that was judged, if the output has several."""
    last: Node | None = None
    """The call that gave the output."""
    reads: tuple[tuple[str, str], ...] = ()
    """Functions that gave Python values that vary from call to call, and their ``file:line``."""
    writes: tuple[tuple[str, str], ...] = ()
    """Names of tensors of the model that a call in place changed, and its ``file:line``."""


def trace(model: nn.Module, training: bool, form: Form | None = None) -> Trace:
    """Run ``model`` on a few images and follow them; modes and buffers are left as the run leaves them.

    Raises ModelError if the output has no tensor of (N, 10), or if it comes from code that cannot be
    followed, and whatever the model raises.
    """
    set_training(model, training)
    form = form or Form()
    images = form.images()
    recorder = Recorder(model, images, form, trace.__code__)
    try:
        with torch.no_grad(), recorder:
            given = model(images)
    finally:
        recorder.forget_hooks()
    output, note = of_output(given, form.batch)
    last = recorder.by_tensor.get(id(output))
    if last is None or not last.sees_image:
        raise ModelError(
            "the output does not depend on the image, or compiled code computes it, which cannot be followed"
        )
    live: set[int] = set()
    left = [last]
    while left:
        node = left.pop()
        if id(node) not in live:
            live.add(id(node))
            left += node.inputs
    nodes = [node for node in recorder.nodes if id(node) in live]
    unused = sum(p.numel() for p in sized(model) if id(p) in recorder.unseen)
    reads, writes = tuple(recorder.reads), tuple(recorder.writes)
    return Trace(nodes, tuple(output.shape), unused, note, last, reads, writes)


def of_output(given: Any, batch: int) -> tuple[Tensor, str]:
    """Return the tensor of classes in a model's output, and a note if the output has several tensors.

    Raises ModelError if it has none.
    """
    if isinstance(given, Tensor):
        return given, ""
    kind, tensors = type(given).__name__, list(tensors_in(given))
    if not tensors:
        raise ModelError(f"the model returns {kind}, not a tensor; return the logits of shape (N, {CLASSES})")
    for tensor in tensors:
        if tuple(tensor.shape) == (batch, CLASSES):
            count = "1 tensor" if len(tensors) == 1 else f"{len(tensors)} tensors"
            return tensor, f"returns a {kind} of {count}; judged by the first of shape (N, {CLASSES})"
    shapes = ", ".join(_shape(tensor) for tensor in tensors[:4]) + (", …" if len(tensors) > 4 else "")
    raise ModelError(
        f"the model returns a {kind} of {shapes}, none of shape (N, {CLASSES}); return the logits alone"
    )


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(["N", *map(str, tensor.shape[1:])]) + ")"


def sized(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters, a shared one once, without those of lazy modules that have never run."""
    return [p for p in model.parameters() if not isinstance(p, nn.parameter.UninitializedParameter)]
