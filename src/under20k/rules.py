"""The requirement checks: what the brief asks of a model, judged on the module graph that it computes.

The first four are the specification's "automated requirement checks"; the receptive field and the epochs are
what it states besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from under20k.architecture import IMAGE_SIDE
from under20k.brief import EPOCH_LIMIT, PARAMETER_LIMIT
from under20k.graph import Operation, operations

DROPOUTS = (nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True)
class Verdict:
    """One requirement, checked."""

    rule: str
    requirement: str
    passed: bool
    evidence: str
    """What was found in the model, whether it passes or not."""


def judge(model: nn.Module, epochs: int) -> list[Verdict]:
    """Every verdict on ``model``, (N, 1, 28, 28) images → (N, 10), trained for so many ``epochs``.

    Raises UserError where the model's graph cannot be followed.
    """
    graph = operations(model)
    return [
        parameters(model),
        batch_norm(graph),
        dropout(graph),
        pooling_or_connected(graph),
        receptive_field(graph),
        training_length(epochs),
    ]


def parameters(model: nn.Module) -> Verdict:
    """The total parameter count, a shared parameter counted once."""
    total = sum(parameter.numel() for parameter in model.parameters())
    frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    trainable = f"{total - frozen:,} of them" if frozen else "all of them"
    return Verdict(
        "Parameters",
        f"fewer than {PARAMETER_LIMIT:,}",
        total < PARAMETER_LIMIT,
        f"{total:,}, {trainable} trainable; {total / PARAMETER_LIMIT:.1%} of the limit",
    )


def batch_norm(graph: Sequence[Operation]) -> Verdict:
    """BatchNorm fed by every convolution but the last, and by nothing else in between."""
    convolutions = [op for op in graph if isinstance(op.module, nn.Conv2d)]
    required, last = convolutions[:-1], convolutions[-1:]
    bare = [op.name for op in required if not _normalised(op, graph)]
    met = f"BatchNorm2d after {len(required) - len(bare)} of {len(required)} convolutions"
    met += f" before the last, {last[0].name}" if last else ""
    return Verdict(
        "Batch normalization",
        "BatchNorm2d after every convolution but the last",
        bool(required) and not bare,
        f"{met}; none after {', '.join(bare)}" if bare else met,
    )


def dropout(graph: Sequence[Operation]) -> Verdict:
    """Dropout that drops something, in the path from image to output."""
    layers = [op for op in graph if isinstance(op.module, DROPOUTS)]
    rates = {op.name: float(op.module.p) for op in layers}  # type: ignore[arg-type]
    active = [f"{name} (p = {rate:g})" for name, rate in rates.items() if rate]
    idle = [f"{name} (p = 0)" for name, rate in rates.items() if not rate]
    found = ", ".join(active) or "no layer of the network drops anything, so this requirement is missed"
    return Verdict(
        "Dropout",
        "a dropout layer with p above 0",
        bool(active),
        f"{found}; without effect: {', '.join(idle)}" if idle else found,
    )


def pooling_or_connected(graph: Sequence[Operation]) -> Verdict:
    """Global average pooling, or a fully connected layer."""
    found = []
    for op in graph:
        if isinstance(op.module, nn.Linear):
            found.append(f"{op.name} (Linear)")
        elif _averages_whole_map(op):
            maps = "×".join(map(str, op.input_shape))
            trivial = ", each its own average" if op.input_shape[1:] == (1, 1) else ""
            found.append(f"{op.name} ({type(op.module).__name__} of {maps} maps{trivial})")
    return Verdict(
        "Global average pooling or fully connected",
        "one of the two",
        bool(found),
        ", ".join(found) or "neither is in the network",
    )


def receptive_field(graph: Sequence[Operation]) -> Verdict:
    """A last convolution or fully connected layer that sees the whole image."""
    weighted = [op for op in graph if isinstance(op.module, nn.Conv2d | nn.Linear)]
    side = weighted[-1].receptive_field if weighted else 1
    return Verdict(
        "Receptive field",
        f"at least the image, {IMAGE_SIDE}×{IMAGE_SIDE}",
        side >= IMAGE_SIDE,
        f"{side}×{side} at {weighted[-1].name}" if weighted else "no layer with weights",
    )


def training_length(epochs: int) -> Verdict:
    """The number of epochs."""
    return Verdict("Epochs", f"fewer than {EPOCH_LIMIT}", epochs < EPOCH_LIMIT, str(epochs))


def _normalised(convolution: Operation, graph: Sequence[Operation]) -> bool:
    """Whether all that takes the convolution's output is BatchNorm over its channels."""
    takers = [op.module for op in graph if convolution in op.inputs]
    channels = convolution.shape[0]
    return bool(takers) and all(
        isinstance(taker, nn.BatchNorm2d) and taker.num_features == channels for taker in takers
    )


def _averages_whole_map(operation: Operation) -> bool:
    module = operation.module
    if operation.shape[1:] != (1, 1):
        return False
    if isinstance(module, nn.AvgPool2d):  # of what does not fit its window, it leaves out the rest
        kernel = module.kernel_size
        kernels = (kernel, kernel) if isinstance(kernel, int) else kernel
        return all(k >= side for k, side in zip(kernels, operation.input_shape[1:], strict=True))
    return isinstance(module, nn.AdaptiveAvgPool2d)
