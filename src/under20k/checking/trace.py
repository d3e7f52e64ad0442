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
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from under20k.architecture import IMAGE_SIDE
from under20k.checking.counts import macs
from under20k.checking.findings import ModelError
from under20k.checking.geometry import REDUCTIONS, TURNS, locate
from under20k.checking.node import BATCH, CONVOLUTIONS, PRODUCTS, Node

_OWN = tuple(os.path.dirname(path) + os.sep for path in (torch.__file__, os.path.dirname(__file__)))


FROM_ELSEWHERE = ("tensor", "as_tensor", "asarray", "from_numpy", "frombuffer", "from_dlpack")
"""What makes a tensor of numbers that are kept in lists or arrays."""


@dataclass(frozen=True)
class Trace:
    """What one run of a model computed."""

    nodes: list[Node]
    """The calls that the output depends on, in order."""
    output: tuple[int, ...]
    """The output's shape, with N."""
    unused: int
    """Elements of parameters that no call took."""


def trace(model: nn.Module, training: bool, side: int = IMAGE_SIDE) -> Trace:
    """Run ``model`` on two images of ``side`` pixels and follow them. Modes and buffers are left as the run
    leaves them.

    Raises what the model raises, and ModelError where it does not give one tensor, or one that comes from
    code that cannot be followed.
    """
    model.train(training)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 1, side, side, generator=generator)
    recorder = _Recorder(model, images)
    try:
        with torch.no_grad(), recorder:
            output = model(images)
    finally:
        recorder.forget_hooks()
    if not isinstance(output, Tensor):
        raise ModelError(f"the model gives {type(output).__name__}, not a tensor")
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
    return Trace(nodes, tuple(output.shape), sum(p.numel() for p in sized(model) if id(p) in recorder.unseen))


def sized(model: nn.Module) -> list[nn.Parameter]:
    """The parameters, a shared one once, but for those of lazy modules that have never run."""
    return [p for p in model.parameters() if not isinstance(p, nn.parameter.UninitializedParameter)]


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        sides = (images.shape[2], images.shape[3])
        self.by_tensor = {id(images): Node("image", "image", [], (), (1, *sides), "", sides=sides)}
        self.kept: list[Tensor] = [images]  # an id is unique only while its tensor lives
        self.parameters = {id(parameter) for parameter in model.parameters()}
        self.unseen = set(self.parameters)  # by any call yet
        self.outside: set[int] = set()
        self.leaves: dict[int, dict[int, Tensor]] = {}  # by node: what it is made of, if it sees no image
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
        before = [(id(t), tuple(t.shape)) for t in _tensors((args, kwargs))]  # a call may change it
        result = func(*args, **kwargs)
        given = args[0] if getattr(func, "__name__", "") == "__setitem__" else result  # it gives None
        if (
            "dropout" in getattr(func, "__name__", "")
            and result is args[0]
            and not _in_place(func, args, kwargs)
        ):
            # Off, it gives what it took: told apart, lest a call whose result is thrown away seem used.
            result = given = result.view_as(result)
        outputs = list(_tensors(given))
        if outputs and not (len(outputs) == 1 and id(outputs[0]) in self.parameters):
            self._record(getattr(func, "__name__", str(func)), args, kwargs, before, outputs)
        return result

    def _record(
        self,
        kind: str,
        args: Any,
        kwargs: Any,
        before: list[tuple[int, tuple[int, ...]]],
        outputs: list[Tensor],
    ) -> None:
        taken = {id(t): t for t in _tensors((args, kwargs))}
        shapes = dict(before)
        inputs = [self.by_tensor[i] for i in taken if i in self.by_tensor]
        kind = kind.rstrip("_") if not kind.startswith("__") else kind
        fresh = [t for i, t in taken.items() if i in self.unseen]
        self.unseen -= set(taken)
        features = [i for i in taken if i in self.by_tensor and self.by_tensor[i].sees_image]
        weights = [i for i in taken if i not in features]
        result = outputs[0]
        node = Node(
            (self.stack[-1] if self.stack else "") or kind,
            kind,
            inputs,
            shapes[features[0]][1:] if features else (),
            tuple(result.shape[1:]),
            _source(),
            _settings(kind, args, kwargs),
            weighted=bool(features and weights) and kind in (*CONVOLUTIONS, *PRODUCTS),
            parameters=sum(t.numel() for t in fresh),
            sees_image=bool(features),
        )
        if node.weighted:
            hidden = {i: t for weight in weights for i, t in self._hidden(taken[weight]).items()}
            node.outside = sum(t.numel() for i, t in hidden.items() if i not in self.outside)
            self.outside |= set(hidden)
        elif not features and result.numel() > 1:  # one number, such as a norm, holds no weights
            self.leaves[id(node)] = {i: t for part in taken.values() for i, t in self._made_of(part).items()}
            if kind in FROM_ELSEWHERE and not taken:
                self.leaves[id(node)] = {id(result): result}
        node.macs = macs(node, [shape for _, shape in before], tuple(result.shape))
        locate(node)
        self.nodes.append(node)
        for tensor in outputs:
            self.by_tensor[id(tensor)] = node
            self.kept.append(tensor)

    def _made_of(self, tensor: Tensor) -> dict[int, Tensor]:
        """The tensors that no call has made and that it comes from: parameters, buffers, and others."""
        node = self.by_tensor.get(id(tensor))
        if node is None:
            self.kept.append(tensor)
            return {id(tensor): tensor}
        return self.leaves.get(id(node), {})

    def _hidden(self, weight: Tensor) -> dict[int, Tensor]:
        """What a weight comes from and is no parameter."""
        leaves = self._made_of(weight)
        others = {i: t for i, t in leaves.items() if i not in self.parameters}
        # Pruning keeps a mask of zeros and ones beside its parameter.
        pruned = len(others) < len(leaves)
        return {i: t for i, t in others.items() if not (pruned and bool(((t == 0) | (t == 1)).all()))}


def _in_place(func: Any, args: Any, kwargs: Any) -> bool:
    return func.__name__.endswith("_") or bool(kwargs.get("inplace", args[3:4] == (True,)))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer):
        return  # of a lazy module that is about to run for the first time
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
    while frame is not None and frame.f_code is not trace.__code__:
        file = frame.f_code.co_filename
        if not file.startswith((*_OWN, "<")) and "runpy" not in file:
            return f"{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


_NAMES = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transpose2d": (
        *("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    ),
    "conv1d": ("input", "weight"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "unfold": ("input", "kernel_size", "dilation", "padding", "stride"),
    "dropout": ("input", "p", "training"),
    "interpolate": ("input", "size", "scale_factor", "mode"),
    "einsum": ("equation",),
    "softmax": ("input", "dim"),
    "log_softmax": ("input", "dim"),
    "__getitem__": ("input", "index"),
}


def _settings(kind: str, args: Any, kwargs: Any) -> dict[str, Any]:
    names = _NAMES.get("dropout" if "dropout" in kind else kind, ("input",))
    found = dict(zip(names, args, strict=False)) | kwargs
    if "conv" in kind and isinstance(weight := found.get("weight"), Tensor):
        found["kernel_size"] = tuple(weight.shape[2:])
        found["weight_shape"] = tuple(weight.shape)
    if kind in (*REDUCTIONS, *TURNS):  # x.mean(2, 3) as well as x.mean((2, 3))
        dims = [a for arg in args[1:] for a in (arg if isinstance(arg, list | tuple) else [arg])]
        named = [d for name in ("dim", "axis", "dims", "dim0", "dim1") for d in _listed(kwargs.get(name))]
        named += [d for name in ("source", "destination") for d in _listed(kwargs.get(name))]
        found["dims"] = tuple(d for d in [*dims, *named] if isinstance(d, int) and not isinstance(d, bool))
    if "train" in found:  # torch.dropout's name for it
        found["training"] = found["train"]
    return {name: value for name, value in found.items() if not isinstance(value, Tensor)}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
