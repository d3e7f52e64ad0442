"""A graph as a plain PyTorch module: the readable reference for every engine.

Shapes: n images of a batch, C channels, H rows, W columns, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from under20k.engine.torch_transforms import PlannedDropout
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Node, Shape

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "rsqrt": torch.rsqrt,
}
_DROPOUTS = "planned dropout"  # a name that no attribute of a model has


class GraphModule(nn.Module):
    """(n, 1, 28, 28) normalised images → (n, 10); tensors have the names that the graph gives them."""

    def __init__(
        self, graph: Graph, tensors: Mapping[str, Shape] | None = None, trained: Collection[str] | None = None
    ) -> None:
        """Make the module; its tensors are zeros until they are loaded.

        Args:
            graph: what it computes.
            tensors: names and shapes of all its tensors, which may be more than the graph uses; None for
                those.
            trained: names of the parameters among them.
        """
        super().__init__()
        self.graph = graph
        tensors = graph.tensors() if tensors is None else tensors
        trained = graph.trained() if trained is None else trained
        for name, shape in tensors.items():
            *path, last = name.split(".")
            owner: nn.Module = self
            for part in path:  # not by add_module, which refuses names of methods, such as logits
                child = owner._modules.setdefault(part, nn.Module())
                assert child is not None
                owner = child
            if name in trained:
                owner._parameters[last] = nn.Parameter(torch.zeros(shape))
            else:
                owner._buffers[last] = torch.zeros(shape)
        nodes = [node for node in graph.nodes if isinstance(node, op.Dropout)]
        dropouts = (PlannedDropout(node.stream, node.probability, node.channels) for node in nodes)
        self.add_module(_DROPOUTS, nn.ModuleList(dropouts))
        self._numbers = {node.name: number for number, node in enumerate(nodes)}
        self.step = 0
        """Number of steps of the training before this one, for averages over all batches."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "step":
            object.__setattr__(self, name, value)  # a layer of the model may have this name
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        """Return the output, log-probabilities or probabilities where the graph ends in them."""
        return self._values(images)[self.graph.nodes[-1].name]

    def logits(self, images: Tensor) -> Tensor:
        """Return what the cross-entropy takes: the output before a final log-softmax."""
        last = self.graph.nodes[-1]
        before = isinstance(last, op.LogSoftmax)
        return self._values(images)[last.inputs[0] if before else last.name]

    def _values(self, images: Tensor) -> dict[str, Tensor]:
        tensors = dict([*self.named_parameters(), *self.named_buffers()])
        values, seen = {IMAGE: images}, dict.fromkeys(tensors, 0)
        for node in self.graph.nodes:
            taken = [values[source] for source in node.inputs]
            if isinstance(node, op.BatchNorm):
                seen[node.running_mean] += 1
                values[node.name] = self._batch_norm(node, taken[0], tensors, seen)
            elif isinstance(node, op.Dropout):
                dropouts = self.get_submodule(_DROPOUTS)
                values[node.name] = dropouts.get_submodule(str(self._numbers[node.name]))(taken[0])
            else:
                values[node.name] = _value(node, taken, tensors)
        return values

    def _batch_norm(
        self, node: op.BatchNorm, x: Tensor, tensors: dict[str, Tensor], seen: dict[str, int]
    ) -> Tensor:
        """Normalise.

        Args:
            node: names the tensors.
            x: (n, C, H, W) or (n, F).
            tensors: all, by name.
            seen: how often each running mean has been used in this step, this time included.
        """
        momentum = node.momentum
        if momentum is None:  # the mean over all batches so far
            uses = sum(
                isinstance(n, op.BatchNorm) and n.running_mean == node.running_mean for n in self.graph.nodes
            )
            momentum = 1 / (self.step * uses + seen[node.running_mean])
        return F.batch_norm(
            x,
            tensors[node.running_mean],
            tensors[node.running_var],
            tensors[node.weight] if node.weight else None,
            tensors[node.bias] if node.bias else None,
            self.training,
            momentum,
            node.eps,
        )


def _value(node: Node, taken: list[Tensor], tensors: dict[str, Tensor]) -> Tensor:
    """Return the value of a node that has no state."""
    x = taken[0]
    match node:
        case op.Convolution():
            bias = tensors[node.bias] if node.bias else None
            weight = tensors[node.weight]
            if node.weight_shape is not None:
                weight = weight.reshape(node.kernel_shape(x.shape[1]))
            return F.conv2d(x, weight, bias, node.stride, node.padding, node.dilation, node.groups)
        case op.Linear():
            return F.linear(x, tensors[node.weight], tensors[node.bias] if node.bias else None)
        case op.Activation():
            return _activation(node, x, tensors)
        case op.Pool() if node.kind == "max":
            return F.max_pool2d(x, node.kernel, node.stride, node.padding, ceil_mode=node.ceil)
        case op.Pool():
            return F.avg_pool2d(x, node.kernel, node.stride, node.padding, node.ceil, node.count_padding)
        case op.AdaptivePool():
            pool = F.adaptive_max_pool2d if node.kind == "max" else F.adaptive_avg_pool2d
            return pool(x, node.size)
        case op.Add():
            return sum(taken[1:], start=x)
        case op.Multiply():
            for factor in taken[1:]:
                x = x * factor
            return x
        case op.Concatenate():
            return torch.cat(taken, 1)
        case op.Scale():
            return x * node.factor + node.offset
        case op.Reshape():
            return x.reshape(len(x), *node.shape)
        case op.Softmax():
            return F.softmax(x, 1)
        case op.LogSoftmax():
            return F.log_softmax(x, 1)
    raise TypeError(f"{node.name}: no computation for {node.op}")


def _activation(node: op.Activation, x: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    if node.function == "leaky_relu":
        return F.leaky_relu(x, node.slope)
    if node.function == "elu":
        return F.elu(x, node.slope)
    if node.weight:
        return F.prelu(x, tensors[node.weight])
    return _FUNCTIONS[node.function](x)
