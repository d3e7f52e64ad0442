"""What any PyTorch model computes, recorded while it runs on one small batch.

A ``TorchFunctionMode`` sees every call of a torch function with its arguments, whether a module or the
model's own code makes it. ``torch.fx`` and ``torch.export`` refuse branches on values, and a graph exported
in evaluation mode has lost its dropout; a real run takes whatever runs. Its price: only the path that this
batch took is seen.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from under20k.architecture import IMAGE_SIDE

BATCH = 2  # BatchNorm in training mode cannot take one image whose maps are 1×1
_OWN = (os.path.dirname(torch.__file__) + os.sep, os.path.dirname(__file__) + os.sep)
CONVOLUTIONS = ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")
PRODUCTS = ("linear", "matmul", "mm", "bmm", "addmm", "__matmul__")


@dataclass(eq=False)
class Node:
    """One call of a torch function whose result the output depends on."""

    name: str
    """Of the module that calls, else of the function."""
    kind: str
    inputs: list[Node]
    input_shape: tuple[int, ...]
    """Of the first tensor taken, without N."""
    shape: tuple[int, ...]
    """Of the result, without N."""
    source: str
    """``file:line`` of the model's code, empty where only torch's own modules call."""
    settings: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0
    """Elements of the parameters that it takes and no node before it took."""
    macs: int = 0
    """Multiply-accumulates for one image, of convolutions and matrix products."""
    fields: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    jumps: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    sides: tuple[int, int] = (IMAGE_SIDE, IMAGE_SIDE)
    """Of the map that its elements lie on, which a flattening does not change."""

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the largest square that an output element depends on, padding counted."""
        return int(min(self.fields))


def trace(model: nn.Module, training: bool) -> tuple[list[Node], tuple[int, ...]]:
    """The calls that the output depends on, in order, and the output's shape with N.

    Raises what the model raises, and TypeError where it does not give one tensor.
    """
    model.train(training)
    recorder = _Recorder(model)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 1, IMAGE_SIDE, IMAGE_SIDE, generator=generator)
    with torch.no_grad(), recorder:
        output = model(images)
    recorder.forget_hooks()
    if not isinstance(output, Tensor):
        raise TypeError(f"the model gives {type(output).__name__}, not a tensor")
    last = recorder.by_tensor.get(id(output))
    live: set[int] = set()
    left = [last] if last else []
    while left:
        node = left.pop()
        if id(node) not in live:
            live.add(id(node))
            left += node.inputs
    return [node for node in recorder.nodes if id(node) in live], tuple(output.shape)


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.by_tensor: dict[int, Node] = {}
        self.kept: list[Tensor] = []  # an id is unique only while its tensor lives
        self.parameters = {id(parameter) for parameter in model.parameters()}
        self.unseen = set(self.parameters)  # by any call yet
        self.stack: list[str] = []
        self.handles = []
        for name, module in model.named_modules():
            self.handles.append(
                module.register_forward_pre_hook(lambda m, a, name=name: self.stack.append(name))
            )
            self.handles.append(module.register_forward_hook(lambda m, a, o: (self.stack.pop(), None)[1]))

    def forget_hooks(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = [tuple(t.shape) for t in _tensors((args, kwargs))]
        result = func(*args, **kwargs)
        outputs = list(_tensors(result))
        if outputs and not (len(outputs) == 1 and id(outputs[0]) in self.parameters):
            self._record(getattr(func, "__name__", str(func)), args, kwargs, before, outputs)
        return result

    def _record(
        self, kind: str, args: Any, kwargs: Any, before: list[tuple[int, ...]], outputs: list[Tensor]
    ) -> None:
        taken = list(_tensors((args, kwargs)))
        inputs = [self.by_tensor[id(t)] for t in taken if id(t) in self.by_tensor]
        kind = kind.rstrip("_") if not kind.startswith("__") else kind
        fresh = {id(t): t for t in taken if id(t) in self.unseen}
        self.unseen -= set(fresh)
        result = outputs[0]
        node = Node(
            (self.stack[-1] if self.stack else "") or kind,
            kind,
            inputs,
            before[0][1:] if before else (),
            tuple(result.shape[1:]),
            _source(),
            _settings(kind, args, kwargs),
            sum(t.numel() for t in fresh.values()),
        )
        node.macs = _macs(node, before, result)
        _locate(node)
        self.nodes.append(node)
        for tensor in outputs:
            self.by_tensor[id(tensor)] = node
            self.kept.append(tensor)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _source() -> str:
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((*_OWN, "<")) and "runpy" not in file:
            return f"{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


_NAMES = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose2d": (
        "input",
        "weight",
        "bias",
        "stride",
        "padding",
        "output_padding",
        "groups",
        "dilation",
    ),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "mean": ("input", "dim", "keepdim"),
    "dropout": ("input", "p", "training"),
    "batch_norm": ("input", "running_mean", "running_var", "weight"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
}


def _settings(kind: str, args: Any, kwargs: Any) -> dict[str, Any]:
    names = _NAMES.get("dropout" if "dropout" in kind else kind, ("input",))
    found = dict(zip(names, args, strict=False)) | kwargs
    if "conv" in kind and isinstance(weight := found.get("weight"), Tensor):
        found["kernel_size"] = tuple(weight.shape[2:])
        found["weight_shape"] = tuple(weight.shape)
    if kind == "mean" and len(args) > 2 and isinstance(args[1], int) and isinstance(args[2], int):
        found |= {"dim": tuple(a for a in args[1:] if not isinstance(a, bool)), "keepdim": False}
    return {name: value for name, value in found.items() if not isinstance(value, Tensor)}


def _macs(node: Node, before: list[tuple[int, ...]], result: Tensor) -> int:
    if node.kind in CONVOLUTIONS and (weight := node.settings.get("weight_shape")):
        per_element = 1
        for side in weight[1:]:
            per_element *= side
        places = before[0] if "transpose" in node.kind else tuple(result.shape)
        total = per_element
        for side in places[1:]:
            total *= side
        return total
    if node.kind in PRODUCTS and len(before) > 1:
        inner = before[1][-1] if node.kind in ("addmm", "linear") else before[0][-1]
        return inner * result.numel() // BATCH
    return 0


def _locate(node: Node) -> None:
    """Receptive field, jump and sides from the inputs' (Araujo et al., 2019, Distill)."""
    before = node.inputs[0].sides if node.inputs else (IMAGE_SIDE, IMAGE_SIDE)
    if len(node.shape) == 3:
        node.sides = (node.shape[1], node.shape[2])
    else:
        node.sides = (1, 1) if node.kind == "linear" or _global_mean(node) else before
    fields, jumps = [], []
    for axis in (0, 1):
        jump = max((source.jumps[axis] for source in node.inputs), default=Fraction(1))
        size = max((source.fields[axis] for source in node.inputs), default=Fraction(1))
        steps, stride = _window(node, axis, before[axis])
        fields.append(size + (steps - 1) * jump)
        jumps.append(jump * stride)
    node.fields, node.jumps = (fields[0], fields[1]), (jumps[0], jumps[1])


def _window(node: Node, axis: int, side: int) -> tuple[int, Fraction]:
    """How many neighbouring places of the input an output place sees, and the stride between two of them."""

    def of(name: str, default: int) -> int:
        value = node.settings.get(name)
        if value is None or isinstance(value, str) or value == []:
            return default
        return int(value) if isinstance(value, int | float) else int(value[axis % len(value)])

    outputs = node.sides[axis]
    if node.kind in ("conv2d", "max_pool2d", "avg_pool2d"):
        kernel = of("kernel_size", 1)
        stride = of("stride", 1 if node.kind == "conv2d" else kernel)
        return of("dilation", 1) * (kernel - 1) + 1, Fraction(stride)
    if node.kind == "conv_transpose2d":
        stride, reach = of("stride", 1), of("dilation", 1) * (of("kernel_size", 1) - 1) + 1
        return -(-reach // stride), Fraction(1, stride)
    if node.kind == "interpolate":
        linear = node.settings.get("mode", "nearest") in ("bilinear", "bicubic")
        reach = {"bilinear": 2, "bicubic": 4}[node.settings["mode"]] if linear else 1
        return min(reach, side), Fraction(side, outputs)
    if node.kind in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        spans = (-(-(i + 1) * side // outputs) - i * side // outputs for i in range(outputs))
        return min(spans), Fraction(max(1, side // outputs))
    if node.kind == "linear" or _global_mean(node):
        return side, Fraction(1)
    return 1, Fraction(1)


def _global_mean(node: Node) -> bool:
    """Whether it is a mean over rows and columns, and over no more."""
    if node.kind != "mean":
        return False
    dims = node.settings.get("dim")
    dims = (dims,) if isinstance(dims, int) else tuple(dims or ())
    rank = len(node.input_shape) + 1
    flat = {d % rank for d in dims if isinstance(d, int)}
    # A mean over the last axis of flattened maps is the same average.
    return (rank == 4 and flat == {2, 3}) or (rank == 3 and flat == {2})


def averages_whole_map(node: Node) -> bool:
    """Whether it is global average pooling, in whichever way it is written."""
    if _global_mean(node):
        return True
    if len(node.input_shape) != 3 or node.shape[1:] != (1, 1):
        return False
    if node.kind == "avg_pool2d":
        kernel = node.settings["kernel_size"]
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        return all(k >= s for k, s in zip((*kernel, kernel[-1]), node.input_shape[1:], strict=False))
    return node.kind == "adaptive_avg_pool2d"
