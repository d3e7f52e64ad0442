"""Record every call of a torch function with its arguments, its module and its source line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from under20k.checking.graph.call_settings import settings
from under20k.checking.graph.form import Form
from under20k.checking.graph.macs import macs
from under20k.checking.graph.node import (
    CONVOLUTIONS,
    MULTIPLICATIONS,
    PRODUCTS,
    RANDOM,
    RESHAPING,
    Call,
    Node,
    Operand,
)
from under20k.checking.graph.receptive_field import locate
from under20k.checking.graph.source_lines import attribute, line
from under20k.engine.module_network import DROPOUTS

FROM_ELSEWHERE = ("tensor", "as_tensor", "asarray", "from_numpy", "frombuffer", "from_dlpack")
"""Functions that make a tensor of numbers in lists or arrays."""


FORM_ONLY = (
    *("expand_as", "view_as", "reshape_as", "type_as", "zeros_like", "ones_like", "empty_like", "full_like"),
    *("rand_like", "randn_like", "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor"),
)
"""Functions that use only the shape or type of their last tensor."""
IN_PLACE_OF_A_PRODUCT = ("sum", "mean")
READS = (
    *("__bool__", "__float__", "__int__", "__index__", "item", "tolist", "numpy", "__array__", "equal"),
    *("allclose", "is_nonzero", "__contains__"),
)
"""Functions that give Python a tensor's values."""


class Recorder(TorchFunctionMode):
    """Records the calls of one run of a model as nodes; source lines are those of calls below ``stop``."""

    def __init__(self, model: nn.Module, images: Tensor, form: Form, stop: CodeType) -> None:
        super().__init__()
        self.stop = stop
        self.nodes: list[Node] = []
        self.batch = form.batch
        sides, shape = (form.side, form.side), tuple(images.shape[1:])
        last = form.layout == "channels last"
        image = Node("image", "image", [], (), shape, "", sides=sides, channels_last=last)
        self.by_tensor = {id(images): image}
        self.parts: dict[int, int] = {}
        """By tensor: which of the results of its call it is, if not the first."""
        self.names: dict[int, str] = {}
        for name, tensor in reversed(model.state_dict(keep_vars=True).items()):
            self.names[id(tensor)] = name
        self.dropouts = 0
        self.reads: list[tuple[str, str]] = []
        """Functions that gave Python values that vary from call to call, and their ``file:line``."""
        self.writes: list[tuple[str, str]] = []
        """Names of tensors of the model that a call in place changed, and its ``file:line``."""
        floats = [(name, t) for name, t in reversed(model.state_dict().items()) if t.is_floating_point()]
        self._stored = {t.data_ptr(): name for name, t in floats if not _lazy(t) and t.numel()}
        self.kept: list[Tensor] = [images]  # an id is unique only while its tensor lives
        self.parameters = {id(parameter) for parameter in model.parameters()}
        self.unseen = set(self.parameters)  # by any call so far
        self.outside: set[int] = set()
        self.leaves: dict[
            int, dict[int, Tensor]
        ] = {}  # by node that sees no image: the tensors it is computed from
        self.scales: dict[int, Tensor] = {}  # by node: the factor of the image's elements
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
        before = [(id(t), tuple(t.shape)) for t in tensors_in((args, kwargs))]  # a call may change it
        call = self._call(func, args, kwargs)
        result = func(*args, **kwargs)
        given = args[0] if getattr(func, "__name__", "") == "__setitem__" else result  # it gives None
        if (
            "dropout" in getattr(func, "__name__", "")
            and result is args[0]
            and not _in_place(func, args, kwargs)
        ):
            # If off, it returns its input: a view distinguishes them, or a discarded result would seem used.
            result = given = result.view_as(result)
        name = getattr(func, "__name__", str(func))
        if name in READS and any(self._varies(i) for i, _ in before):
            self.reads.append((name, line(self.stop)))
        if (
            _writes(name)
            and before
            and (stored := self._stored.get(next(tensors_in((args, kwargs))).data_ptr()))
        ):
            self.writes.append((stored, line(self.stop)))
        outputs = list(tensors_in(given))
        if outputs and not (len(outputs) == 1 and id(outputs[0]) in self.parameters):
            node = self._record(name, args, kwargs, before, outputs)
            node.call = replace(call, batch=outputs[0].shape[0] if outputs[0].dim() else None)
            self.dropouts += node.kind in DROPOUTS and bool(node.settings.get("training", True))
        return result

    def _call(self, func: Any, args: Any, kwargs: Any) -> Call:
        """Describe a call before it is made: its tensors by their origin."""
        running = [module for _, module in self.stack]
        owner = next((m for m in reversed(running) if not type(m).__module__.startswith("torch.nn.")), None)
        told = self._told((args, kwargs))
        return Call(func, told[0], told[1], running[-1] if running else None, owner, None, self.dropouts)

    def _told(self, value: Any) -> Any:
        """Return nested arguments with an operand for every tensor."""
        if isinstance(value, Tensor):
            return self._operand(value)
        if isinstance(value, torch.Size):
            return tuple(value)
        if type(value) in (list, tuple):
            return type(value)(map(self._told, value))
        return {key: self._told(item) for key, item in value.items()} if type(value) is dict else value

    def _varies(self, tensor: int) -> bool:
        """Return whether a tensor, given by its id, depends on the image or on random numbers."""
        node = self.by_tensor.get(tensor)
        return node is not None and (node.sees_image or any(n.kind in RANDOM for n in node.made_of()))

    def _operand(self, tensor: Tensor) -> Operand:
        node = self.by_tensor.get(id(tensor))
        if _lazy(tensor):
            return Operand(node, 0, "", False, None)
        number = None
        if tensor.numel() == 1 and not tensor.is_meta and not (node and node.sees_image):
            number = float(tensor) if not tensor.is_complex() else None
        return Operand(
            node,
            self.parts.get(id(tensor), 0),
            self.names.get(id(tensor), ""),
            id(tensor) in self.parameters and tensor.requires_grad,
            number,
        )

    def _record(
        self,
        kind: str,
        args: Any,
        kwargs: Any,
        before: list[tuple[int, tuple[int, ...]]],
        outputs: list[Tensor],
    ) -> Node:
        kind = kind.rstrip("_") if not kind.startswith("__") else kind
        taken = {id(t): t for t in tensors_in((args, kwargs))}
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
            line(self.stop),
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
                # Axes are not followed through this; a factor that varies along one axis only is a scale.
                scale = scale if scale.numel() > max(scale.shape, default=1) else scale.new_zeros(())
            self.scales[id(node)] = scale
        if node.weighted:
            self._take(node, [taken[weight] for weight in weights])
        elif (scale := self._summed_scale(node)) is not None:
            node.weighted = True
            self._take(node, [scale])
        elif not features and result.numel() > 1:  # a single number, such as a norm, holds no weights
            self.leaves[id(node)] = {i: t for part in taken.values() for i, t in self._made_of(part).items()}
            if kind in FROM_ELSEWHERE and not taken:
                self.leaves[id(node)] = {id(result): result}
        node.macs = macs(node, [shape for _, shape in before], tuple(result.shape), self.batch)
        locate(node)
        self.nodes.append(node)
        for part, tensor in enumerate(outputs):
            self.by_tensor[id(tensor)] = node
            self.parts[id(tensor)] = part
            self.kept.append(tensor)
        return node

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
            return None  # random numbers, such as dropout's mask, have no origin
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
        # Pruning keeps a mask of zeros and ones next to its parameter.
        pruned = len(others) < len(leaves)
        return {i: t for i, t in others.items() if not (pruned and bool(((t == 0) | (t == 1)).all()))}


def _writes(name: str) -> bool:
    """Return whether a function changes its first argument: ``clamp_``, ``__imul__``, ``__setitem__``."""
    if name.startswith("__"):
        return name == "__setitem__" or (
            name.startswith("__i") and name not in ("__index__", "__int__", "__iter__")
        )
    return name.endswith("_") and not name.startswith("_")


def _lazy(tensor: Tensor) -> bool:
    """Return whether a tensor belongs to a lazy module that has not run yet."""
    return isinstance(tensor, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer)


def _in_place(func: Any, args: Any, kwargs: Any) -> bool:
    return func.__name__.endswith("_") or bool(kwargs.get("inplace", args[3:4] == (True,)))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        if not _lazy(value):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
