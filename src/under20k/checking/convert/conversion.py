"""The conversion of recorded calls to the nodes of a graph, one by one.

Shapes: C channels, H rows, W columns of one image's values; F features.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from under20k.checking.convert.reasons import NotConvertible, refused, used
from under20k.checking.convert.values import Builder, Value
from under20k.checking.graph.form import Form
from under20k.checking.graph.node import Node, Operand
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import CLASSES, IMAGE, IMAGE_SIDE
from under20k.recipe.graph.node import Node as GraphNode
from under20k.recipe.graph.node import Shape

SAME = (
    *("contiguous", "clone", "float", "to", "type", "type_as", "cpu", "cuda", "alias", "positive", "__pos__"),
    "requires_grad",
)
"""Functions that leave shape and values as they are."""


class Conversion:
    """The values of one run, and what the conversions of its calls have in common."""

    def __init__(self, module: nn.Module, form: Form, training: bool) -> None:
        self.module = module
        state = module.state_dict()
        self.shapes = {name: tuple(state[name].shape) for name in state if state[name].is_floating_point()}
        """Of every tensor of the model that can be a weight of the graph."""
        self.training = training
        self.batch = form.batch
        self.builder = Builder()
        shape = (1, IMAGE_SIDE, IMAGE_SIDE)
        seen = tuple(form.images().shape[1:])
        self.image = Value(IMAGE, shape, seen)
        self.values: dict[int, Value] = {}

    def finished(self, last: Node) -> list[GraphNode]:
        """Return the nodes, with the output of the call ``last`` at the end."""
        value = self.values[id(last)]
        if value.across:
            raise value.across
        if value.expanded or any(value.padding) or math.prod(value.shape) != CLASSES:
            raise NotConvertible(f"the output has the shape {('N', *value.shape)}, not ('N', {CLASSES})")
        name = self.builder.shaped(value, (CLASSES,))
        if value.softmax:
            kind = op.LogSoftmax if value.softmax == "log_softmax" else op.Softmax
            name = self.builder.add(kind, value.softmax, (name,))
        nodes = self.builder.nodes
        if not nodes:
            raise NotConvertible("the model returns the image")
        needed, left = set(), {name}
        for node in reversed(nodes):  # a reshape may have been made for a value that nothing else takes
            if node.name in left:
                needed.add(node.name)
                left |= set(node.inputs)
        nodes = [node for node in nodes if node.name in needed]
        if nodes[-1].name != name:
            at = next(index for index, node in enumerate(nodes) if node.name == name)
            nodes.append(nodes.pop(at))
        return nodes

    # What the conversions of single calls use.

    def value(self, operand: Any, node: Node, *, end: bool = False, moves: bool = False) -> Value:
        """Return the value of an argument.

        Args:
            operand: an argument that depends on the image.
            node: the call that takes it.
            end: whether it may be a softmax.
            moves: whether the call may take the values of all images in any shape.
        """
        if not isinstance(operand, Operand) or operand.node is None or not operand.node.sees_image:
            raise used(node, "of a tensor that does not depend on the image")
        if operand.part:
            raise used(operand.node, "for more than its first result")
        value = self.image if operand.node.kind == "image" else self.values[id(operand.node)]
        if value.softmax and not end:
            raise refused(node, f"goes on after {value.softmax}")
        if any(value.padding) and node.kind != "conv2d":
            raise refused(node, "pads maps for something else than a convolution")
        if value.across and not moves:
            raise value.across
        return value

    def single(self, operand: Any, node: Node) -> Value:
        """Return the value of an argument that is not expanded."""
        value = self.value(operand, node)
        if value.expanded:
            raise used(node, "after expand")
        return value

    def maps(self, operand: Any, node: Node) -> tuple[Value, str]:
        """Return an argument and the name of its maps. Raises NotConvertible if it has none."""
        value = self.single(operand, node)
        if len(value.shape) != 3:
            raise used(node, f"on a tensor of shape {('N', *value.shape)}".replace("'", ""))
        return value, self.builder.shaped(value, value.shape)

    def add(
        self, node: Node, operation: type[GraphNode], inputs: tuple[str, ...], given: Shape, **fields: Any
    ) -> Value:
        """Append a node for a call and return its value.

        Args:
            node: the call.
            operation: class of the graph's node.
            inputs: names of its inputs.
            given: the shape of its result in the graph.
            fields: all else.
        """
        return Value(self.builder.add(operation, name_of(node), inputs, **fields), given, tuple(node.shape))

    def elementwise(self, node: Node, value: Value, operation: type[GraphNode], **fields: Any) -> Value:
        """Append a node that works on single elements, in whatever shape they are."""
        return self.add(node, operation, (value.name,), value.given, **fields)

    def elementwise_of(
        self, node: Node, value: Value, operation: type[GraphNode], names: tuple[str, ...]
    ) -> Value:
        """Append a node that works on the elements of several nodes, each of which has a value's shape."""
        return self.add(node, operation, names, value.given)

    def weight(self, operand: Any, node: Node) -> str | None:
        """Return the name of a tensor of the model, trained or not. Raises NotConvertible if it is none."""
        if operand is None:
            return None
        if not isinstance(operand, Operand) or operand.node is not None:
            raise used(node, "with weights that it computes")
        if not operand.name:
            raise used(node, "with weights that are not parameters of the model")
        return operand.name

    def number(self, value: Any, node: Node) -> float | None:
        """Return an argument that is a constant number; None if it is something else.

        A tensor of the ``state_dict`` is no constant, even if it is not trained: other weights may hold
        another number.
        """
        if isinstance(value, int | float):
            return float(value)
        if not isinstance(value, Operand) or value.number is None or not math.isfinite(value.number):
            return None
        if kept := _kept(value):
            what = "parameter" if any(operand.parameter for operand in kept) else "tensor"
            raise refused(node, f"{_doing(node)} a {what} of its own" + _named(value))
        return value.number

    def moved(self, node: Node) -> Value:
        """Convert a call that only reshapes. Raises NotConvertible if it changes the elements' order."""
        assert node.call is not None
        first, *others = node.call.args or (node.call.kwargs.get("input"),)
        value = self.value(first, node, end=True, moves=True)
        if value.expanded:
            raise used(node, "after expand")
        if node.kind in SAME:
            return value
        seen = value.whole or (self.batch, *value.shape)
        elements = torch.arange(math.prod(seen)).view(seen)
        others, kwargs = ([dummy(part, self.batch) for part in others], dict(node.call.kwargs))
        try:
            if node.call.args:
                result = node.call.function(elements, *others, **kwargs)
            else:
                result = node.call.function(**{**kwargs, "input": elements})
        except Exception as error:  # it takes something else than shapes
            raise used(node) from error
        if not isinstance(result, torch.Tensor) or result.dim() == 0:
            raise used(node, "across images")
        if result.numel() != elements.numel() or not bool((result.flatten() == elements.flatten()).all()):
            raise used(
                node, "across images" if len(result) != self.batch else "to rearrange or select elements"
            )
        if len(result) != self.batch:
            across = value.across or used(node, "across images")
            return replace(value, whole=tuple(result.shape), across=across)
        if value.softmax and [side for side in result.shape[1:] if side > 1] != [CLASSES]:
            raise refused(node, f"goes on after {value.softmax}")
        return Value(value.name, value.given, tuple(result.shape[1:]), softmax=value.softmax)


def name_of(node: Node) -> str:
    """Return a name for the node of a call: the layer's in the model, or the function's."""
    assert node.call is not None
    module = node.call.module
    is_layer = module is not None and next(module.children(), None) is None
    return node.name if is_layer or node.name == node.kind else f"{node.name}.{node.kind.strip('_')}"


def operands(value: Any) -> list[Operand]:
    """Return the operands in nested arguments."""
    if isinstance(value, Operand):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [operand for part in parts for operand in operands(part)]


def dummy(value: Any, batch: int) -> Any:
    """Return an argument with an empty tensor for an operand, whose shape alone matters."""
    if isinstance(value, Operand) and value.node is not None:
        return torch.empty(batch, *value.node.shape)
    return value


def _kept(operand: Operand) -> list[Operand]:
    """Return the tensors of the ``state_dict`` that one depends on which does not depend on the image."""
    if operand.node is None:
        return [operand] if operand.name else []
    assert operand.node.call is not None
    taken = operands((operand.node.call.args, operand.node.call.kwargs))
    return [kept for each in taken for kept in _kept(each)]


def _doing(node: Node) -> str:
    kind = node.kind.strip("_")
    return {"mul": "multiplies by", "rmul": "multiplies by", "imul": "multiplies by"}.get(
        kind, f"computes {kind} with"
    )


def _named(operand: Operand) -> str:
    return f", {operand.name}" if operand.name else ""
