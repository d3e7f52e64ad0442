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

Sides = tuple[int, int]
"""Of rows and of columns."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One module at one place of the computation."""

    name: str
    module: nn.Module
    inputs: tuple[Operation, ...]
    """The operations whose outputs it takes, none for one that takes the image."""
    shape: tuple[int, ...]
    """Of the output for one image."""
    fields: Sides
    """Input pixels, padding counted, that an output element depends on."""
    jumps: Sides
    """Distance in input pixels between the fields of neighbouring output elements."""
    sides: Sides
    """Of the map that the elements lie on, which a flattening does not change."""

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the largest square within the field of an output element."""
        return min(self.fields)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what it takes, for one image."""
        return self.inputs[0].shape if self.inputs else (1, IMAGE_SIDE, IMAGE_SIDE)


def operations(model: nn.Module) -> list[Operation]:
    """The operations of ``model`` in the order of computation, each used module at each of its uses.

    ``model`` takes (N, 1, 28, 28) images and is run once on blank ones, in evaluation mode. What its output
    does not depend on is left out. Raises UserError where it computes with anything but modules, or does not
    take such images.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        traced = fx.symbolic_trace(model.eval())
        traced.graph.eliminate_dead_code()
        recorder = _Recorder(traced)
        with torch.inference_mode():
            recorder.run(torch.zeros(2, 1, IMAGE_SIDE, IMAGE_SIDE))
    except UserError:
        raise
    except Exception as error:  # the model's own code runs here, and may raise anything
        raise UserError(f"the model's computation cannot be followed: {error}") from error
    finally:
        for module, training in modes.items():
            module.training = training
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
    sides = inputs[0].sides if inputs else (IMAGE_SIDE, IMAGE_SIDE)
    outputs = (shape[1], shape[2]) if len(shape) == 3 else (1, 1) if isinstance(module, nn.Linear) else sides
    fields, jumps = [], []
    for axis in (0, 1):
        window, stride = _window(module, axis, sides[axis], outputs[axis])
        jump = max((source.jumps[axis] for source in inputs), default=1)
        field = max((source.fields[axis] for source in inputs), default=1)
        fields.append(field + (window - 1) * jump)
        jumps.append(jump * stride)
    return Operation(name, module, inputs, shape, (fields[0], fields[1]), (jumps[0], jumps[1]), outputs)


def _window(module: nn.Module, axis: int, side: int, outputs: int) -> tuple[int, int]:
    """Rows (axis 0) or columns (axis 1) of a map of ``side`` that an output element sees, and its stride.

    ``outputs`` is the side of the output.
    """

    def of(sides: int | tuple[int, ...]) -> int:
        return sides if isinstance(sides, int) else sides[axis]

    if isinstance(module, nn.Conv2d | nn.MaxPool2d):
        return of(module.dilation) * (of(module.kernel_size) - 1) + 1, of(module.stride)
    if isinstance(module, nn.AvgPool2d):
        return of(module.kernel_size), of(module.stride)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        # Windows from ⌊i·side/outputs⌋ to ⌈(i + 1)·side/outputs⌉; where they differ, the smallest.
        starts = (place * side // outputs for place in range(outputs))
        ends = (-(-(place + 1) * side // outputs) for place in range(outputs))
        return min(end - start for start, end in zip(starts, ends, strict=True)), max(1, side // outputs)
    if isinstance(module, nn.Linear):
        return side, 1
    return 1, 1
