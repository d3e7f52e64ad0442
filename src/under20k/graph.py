"""What a PyTorch model computes: its module graph, followed from the image to the output.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from under20k.architecture import IMAGE_SIDE
from under20k.errors import UserError

Pool = nn.MaxPool2d | nn.AvgPool2d


@dataclass(frozen=True, eq=False)
class Operation:
    """One module at one place of the computation."""

    name: str
    module: nn.Module
    inputs: tuple[Operation, ...]
    """The operations whose outputs it takes, none for one that takes the image."""
    shape: tuple[int, ...]
    """Of the output for one image."""
    receptive_field: int
    """Side in pixels of the square of input pixels that an output element depends on, padding counted."""
    jump: int
    """Distance in input pixels between the squares of neighbouring output elements."""
    side: int
    """Rows of the map that the elements lie on, which a flattening does not change."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what it takes, for one image."""
        return self.inputs[0].shape if self.inputs else (1, IMAGE_SIDE, IMAGE_SIDE)


def operations(model: nn.Module) -> list[Operation]:
    """The operations of ``model`` in the order of computation, each used module at each of its uses.

    ``model`` takes (N, 1, 28, 28) images and is run once on blank ones, in evaluation mode. Raises UserError
    where it computes with anything but modules, or does not take such images.
    """
    training = model.training
    try:
        recorder = _Recorder(fx.symbolic_trace(model.eval()))
        with torch.inference_mode():
            recorder.run(torch.zeros(2, 1, IMAGE_SIDE, IMAGE_SIDE))
    except (fx.proxy.TraceError, RuntimeError, TypeError) as error:
        raise UserError(f"the model's computation cannot be followed: {error}") from error
    finally:
        model.train(training)
    return recorder.operations


class _Recorder(fx.Interpreter):
    """Runs a traced model and keeps what each module gave."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.operations: list[Operation] = []
        self.by_node: dict[fx.Node, Operation] = {}

    def run_node(self, node: fx.Node) -> Any:
        result = super().run_node(node)
        if node.op == "call_module":
            inputs = tuple(self.by_node[source] for source in node.all_input_nodes if source in self.by_node)
            name = str(node.target)
            operation = _operation(name, self.fetch_attr(name), inputs, tuple(result.shape[1:]))
            self.by_node[node] = operation
            self.operations.append(operation)
        elif node.op not in ("placeholder", "output"):
            raise UserError(f"the model computes with {node.target!r}; only modules are understood")
        return result


def _operation(
    name: str, module: nn.Module, inputs: tuple[Operation, ...], shape: tuple[int, ...]
) -> Operation:
    side = inputs[0].side if inputs else IMAGE_SIDE
    field = max((source.receptive_field for source in inputs), default=1)
    jump = max((source.jump for source in inputs), default=1)
    window, stride = _window(module, side)
    if isinstance(module, nn.Linear):
        side = 1
    elif len(shape) == 3:
        side = min(shape[1:])
    return Operation(name, module, inputs, shape, field + (window - 1) * jump, jump * stride, side)


def _window(module: nn.Module, side: int) -> tuple[int, int]:
    """Rows that an output element of ``module`` sees of a map of ``side`` rows, and its stride."""
    if isinstance(module, nn.Conv2d):
        reach = min(d * (k - 1) + 1 for d, k in zip(module.dilation, module.kernel_size, strict=True))
        return reach, max(module.stride)
    if isinstance(module, Pool):
        return _least(module.kernel_size), _least(module.stride)
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.Linear):
        return side, 1
    return 1, 1


def _least(sides: int | tuple[int, ...]) -> int:
    return sides if isinstance(sides, int) else min(sides)
