"""The description of a network for the C++ engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from under20k.engine.isa import _native, instruction_set
from under20k.engine.native_chain import chain
from under20k.engine.native_layout import ParameterLayout, training_settings
from under20k.errors import UserError
from under20k.recipe.graph import operations as op
from under20k.recipe.graph.graph import IMAGE, Graph
from under20k.recipe.graph.node import Node, Shape
from under20k.recipe.own_model import OwnModel
from under20k.recipe.plan import dropout_threshold
from under20k.recipe.recipe import Recipe

if TYPE_CHECKING:  # there may be no engine
    AnySettings = _native.Settings | _native.GraphSettings


def network_settings(recipe: Recipe, layout: ParameterLayout, threads: int, precision: str) -> AnySettings:
    """Describe a recipe's network and training: a chain of plain blocks as such, all else as a graph.

    Args:
        recipe: supplies the network and the optimiser's settings.
        layout: of the network's tensors.
        threads: number of CPU threads.
        precision: of products in training, fp32 or bf16.

    Raises:
        UserError: for a model without a graph, or a precision that it cannot be trained in.
    """
    network = recipe.architecture
    if (graph := network.graph) is None:
        why = network.why if isinstance(network, OwnModel) else ""
        raise UserError(f"engine: 'native', but {why}: only PyTorch can train it; use --engine torch")
    trained = reached_tensors(graph) & network.trained_names
    training = training_settings(recipe, layout, threads, precision, trained)
    if layers := chain(graph, layout):
        return _native.Settings(training=training, layers=layers.layers, pool_first=layers.pool_first)
    settings = _native.GraphSettings(training=training, nodes=_nodes(graph, layout))
    if precision == "bf16" and not _native.supports_bf16(settings, instruction_set(precision)):
        raise UserError(
            f"precision: 'bf16', but {network} has convolutions other than 3×3 and 1×1 with stride 1 and one "
            "group, which there are no bf16 kernels for; use --precision fp32"
        )
    return settings


def reached_tensors(graph: Graph) -> set[str]:
    """Return the names of the weights that the output depends on; others have no gradient."""
    reached, names = {graph.nodes[-1].name}, set[str]()
    for node, shapes in reversed(list(graph.inputs())):
        if node.name in reached:
            reached |= set(node.inputs)
            names |= node.weights(shapes).keys()
    return names


def _nodes(graph: Graph, layout: ParameterLayout) -> list[_native.Node]:
    """Describe all nodes but a log-softmax at the end, which is part of the loss."""
    numbers = {IMAGE: 0}
    nodes: list[_native.Node] = []
    shapes = graph.shapes()
    for node in graph.nodes:
        if isinstance(node, op.LogSoftmax):
            continue
        inputs = [numbers[name] for name in node.inputs]
        nodes.append(_node(node, inputs, [shapes[name] for name in node.inputs], layout))
        numbers[node.name] = len(nodes)
    return nodes


def _node(node: Node, inputs: list[int], shapes: list[Shape], layout: ParameterLayout) -> _native.Node:
    """Describe a node.

    Args:
        node: one of the operations.
        inputs: numbers of the values that it takes.
        shapes: theirs.
        layout: of the model's tensors.
    """
    start = layout.start
    described = _native.Node(_operation(node), inputs, _three(node.result(shapes)))
    match node:
        case op.Convolution() | op.Linear():
            described.weight = start[node.weight]
            described.bias = start[node.bias] if node.bias else -1
            if isinstance(node, op.Convolution):
                described.slide(
                    kernel=node.kernel, stride=node.stride, padding=node.padding, dilation=node.dilation
                )
                described.groups = node.groups
        case op.BatchNorm():
            described.weight = start[node.weight] if node.weight else -1
            described.bias = start[node.bias] if node.bias else -1
            described.running_mean = start[node.running_mean]
            described.running_variance = start[node.running_var]
            described.momentum = -1 if node.momentum is None else node.momentum
            described.epsilon = node.eps
        case op.Activation() if node.weight:
            described.weight = start[node.weight]
            described.slopes = node.weights_count
        case op.Activation():
            described.apply(node.function, node.slope)
        case op.Pool():
            described.slide(kernel=node.kernel, stride=node.stride, padding=node.padding, dilation=(1, 1))
            described.max = node.kind == "max"
            described.count_padding = node.count_padding
        case op.AdaptivePool():
            described.max = node.kind == "max"
            described.adaptive = True
        case op.Dropout():
            described.probability = node.probability
            described.dropout_threshold = dropout_threshold(node.probability)
            described.whole_channels = node.channels and len(shapes[0]) == 3
            described.stream = node.stream
        case op.Scale():
            described.factor, described.offset = node.factor, node.offset
    return described


_OPERATIONS = {
    op.Convolution: "convolution",
    op.Linear: "convolution",
    op.BatchNorm: "batch_norm",
    op.Activation: "function",
    op.Pool: "pool",
    op.AdaptivePool: "pool",
    op.Dropout: "dropout",
    op.Add: "add",
    op.Multiply: "multiply",
    op.Concatenate: "concatenate",
    op.Scale: "scale",
    op.Reshape: "reshape",
    op.Softmax: "softmax",
}


def _operation(node: Node) -> str:
    return "prelu" if isinstance(node, op.Activation) and node.weight else _OPERATIONS[type(node)]


def _three(shape: Shape) -> tuple[int, int, int]:
    """Return features (F,) as a map (F, 1, 1)."""
    channels, height, width = (*shape, 1, 1)[:3]
    return channels, height, width
