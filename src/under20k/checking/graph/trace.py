"""Record what a PyTorch model computes while it runs on one small batch.

A ``TorchFunctionMode`` sees every call of a torch function with its arguments, whether a module or the
model's own code makes it. ``torch.fx`` and ``torch.export`` refuse branches on values, and a graph exported
in evaluation mode has lost its dropout; a real run takes whatever runs. Its price: only the path that this
batch took is seen.

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from under20k.checking.findings import ModelError
from under20k.checking.graph.call_settings import settings
from under20k.checking.graph.macs import macs
from under20k.checking.graph.node import CONVOLUTIONS, MULTIPLICATIONS, PRODUCTS, RESHAPING, Node
from under20k.checking.graph.receptive_field import locate
from under20k.checking.graph.source_lines import attribute, line
from under20k.recipe.architecture import CLASSES, IMAGE_SIDE

FROM_ELSEWHERE = ("tensor", "as_tensor", "asarray", "from_numpy", "frombuffer", "from_dlpack")
"""Functions that make a tensor of numbers in lists or arrays."""


FORM_ONLY = (
    *("expand_as", "view_as", "reshape_as", "type_as", "zeros_like", "ones_like", "empty_like", "full_like"),
    *("rand_like", "randn_like", "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor"),
)
"""Functions that use only the shape or type of their last tensor."""
IN_PLACE_OF_A_PRODUCT = ("sum", "mean")


@dataclass(frozen=True)
class Form:
    """The form in which images are given to a model."""

    batch: int = 2  # BatchNorm in training mode cannot take one image whose maps are 1×1
    channels: int = 1
    side: int = IMAGE_SIDE
    layout: str = "maps"
    """``maps`` of N×C×H×W, ``flat`` N×(H·W), ``rows`` N×H×W, or ``channels last`` N×H×W×C."""

    def images(self) -> Tensor:
        """Return random images, always the same."""
        generator = torch.Generator().manual_seed(0)
        return self.laid_out(
            torch.randn(self.batch, self.channels, self.side, self.side, generator=generator)
        )

    def laid_out(self, images: Tensor) -> Tensor:
        """Return maps (N, C, H, W) in this layout."""
        if self.layout == "flat":
            return images.flatten(1)
        if self.layout == "rows":
            return images.flatten(1, 2)
        return images.permute(0, 2, 3, 1) if self.layout == "channels last" else images


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


def trace(model: nn.Module, training: bool, form: Form | None = None) -> Trace:
    """Run ``model`` on a few images and follow them; modes and buffers are left as the run leaves them.

    Raises ModelError if the output has no tensor of (N, 10), or if it comes from code that cannot be
    followed, and whatever the model raises.
    """
    model.train(training)
    form = form or Form()
    images = form.images()
    recorder = _Recorder(model, images, form)
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
    return Trace(nodes, tuple(output.shape), unused, note)


def of_output(given: Any, batch: int) -> tuple[Tensor, str]:
    """Return the tensor of classes in a model's output, and a note if the output has several tensors.

    Raises ModelError if it has none.
    """
    if isinstance(given, Tensor):
        return given, ""
    kind, tensors = type(given).__name__, list(_tensors(given))
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


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module, images: Tensor, form: Form) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.batch = form.batch
        sides, shape = (form.side, form.side), tuple(images.shape[1:])
        last = form.layout == "channels last"
        image = Node("image", "image", [], (), shape, "", sides=sides, channels_last=last)
        self.by_tensor = {id(images): image}
        self.kept: list[Tensor] = [images]  # an id is unique only while its tensor lives
        self.parameters = {id(parameter) for parameter in model.parameters()}
        self.unseen = set(self.parameters)  # by any call yet
        self.outside: set[int] = set()
        self.leaves: dict[int, dict[int, Tensor]] = {}  # by node: what it is made of, if it sees no image
        self.scales: dict[int, Tensor] = {}  # by node: what an image's elements are multiplied with
        self.stack: list[tuple[str, nn.Module]] = []
        self.handles = []
        for name, module in model.named_modules():
            self.handles.append(
                module.register_forward_pre_hook(lambda m, a, name=name: self.stack.append((name, m)))
            )
            leave = module.register_forward_hook(
                lambda m, a, o: (self.stack.pop(), None)[1], always_call=True
            )
            self.handles.append(leave)

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
        kind = kind.rstrip("_") if not kind.startswith("__") else kind
        taken = {id(t): t for t in _tensors((args, kwargs))}
        if kind in FORM_ONLY:
            of_values = list(taken)[: 1 if kind.endswith("_as") else 0]
            taken = {i: t for i, t in taken.items() if i in of_values}
        shapes = dict(before)
        inputs = [self.by_tensor[i] for i in taken if i in self.by_tensor]
        fresh = [t for i, t in taken.items() if i in self.unseen]
        self.unseen -= set(taken)
        features = [i for i in taken if i in self.by_tensor and self.by_tensor[i].sees_image]
        weights = [i for i in taken if i not in features]
        result = outputs[0]
        name, module = self.stack[-1] if self.stack else ("", None)
        is_layer = name and module is not None and next(module.children(), None) is None
        node = Node(
            name or kind,
            kind,
            inputs,
            shapes[features[0]][1:] if features else (),
            tuple(result.shape[1:]),
            line(trace.__code__),
            settings(kind, args, kwargs),
            attribute(name) if is_layer else kind,
            weighted=bool(features and weights) and kind in (*CONVOLUTIONS, *PRODUCTS),
            parameters=sum(t.numel() for t in fresh),
            sees_image=bool(features),
        )
        if kind in MULTIPLICATIONS and features and weights:
            self.scales[id(node)] = taken[weights[0]]
        elif kind in RESHAPING and inputs and (scale := self.scales.get(id(inputs[0]))) is not None:
            if result.shape != tuple(shapes[features[0]]):
                # Where its axes have gone is not followed: what varies along one only is a scale.
                scale = scale if scale.numel() > max(scale.shape, default=1) else scale.new_zeros(())
            self.scales[id(node)] = scale
        if node.weighted:
            self._take(node, [taken[weight] for weight in weights])
        elif (scale := self._summed_scale(node)) is not None:
            node.weighted = True
            self._take(node, [scale])
        elif not features and result.numel() > 1:  # one number, such as a norm, holds no weights
            self.leaves[id(node)] = {i: t for part in taken.values() for i, t in self._made_of(part).items()}
            if kind in FROM_ELSEWHERE and not taken:
                self.leaves[id(node)] = {id(result): result}
        node.macs = macs(node, [shape for _, shape in before], tuple(result.shape), self.batch)
        locate(node)
        self.nodes.append(node)
        for tensor in outputs:
            self.by_tensor[id(tensor)] = node
            self.kept.append(tensor)

    def _take(self, node: Node, weights: list[Tensor]) -> None:
        """Count the weights of a layer that are not parameters, each once."""
        hidden = {i: t for weight in weights for i, t in self._hidden(weight).items()}
        node.outside = sum(t.numel() for i, t in hidden.items() if i not in self.outside)
        self.outside |= set(hidden)

    def _summed_scale(self, node: Node) -> Tensor | None:
        """Return the weights of a product written as a multiplication and a sum: ``(x * w).sum(-1)``."""
        if node.kind not in IN_PLACE_OF_A_PRODUCT or not node.images:
            return None
        source = node.images[0]
        scale = self.scales.get(id(source))
        if scale is None or scale.numel() < 2 or not self._made_of(scale):
            return None  # of drawn numbers, such as a mask of dropout's, it is made of none
        rank = len(source.shape) + 1
        dims = [d % rank - rank for d in node.settings["dims"]] or range(-rank, 0)
        direct = source.kind in MULTIPLICATIONS
        varies = any(scale.dim() >= -d and scale.shape[d] > 1 for d in dims) if direct else True
        return scale if varies else None

    def _made_of(self, tensor: Tensor) -> dict[int, Tensor]:
        """Return the tensors at the origin of this one: parameters, buffers, others that no call made."""
        node = self.by_tensor.get(id(tensor))
        if node is None:
            self.kept.append(tensor)
            return {id(tensor): tensor}
        return self.leaves.get(id(node), {})

    def _hidden(self, weight: Tensor) -> dict[int, Tensor]:
        """Return the tensors that a weight is computed from and that are not parameters."""
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
